using Google.Protobuf;
using Semel.ChunkServer;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Cluster;

/// <summary>
/// Reads every replica by itself, with the protocol's messages and nothing of the client library. Runs in a process of its own. A secondary of an open chunk may not
/// know yet how much is committed; then what it must have already is taken from its disk.
/// </summary>
internal sealed class Auditor(SimulatedCluster cluster, SimulatedProcess process, IWire wire)
{
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly string _master = cluster.Master.Address;

    /// <summary>Waits until the servers agree about the whole file, and returns it.</summary>
    public async Task<FileImage> ReadAsync(string path)
    {
        while (true)
        {
            if (await TryReadAsync(path) is { } image)
                return image;
            await Task.Delay(Pause, process.Time);
        }
    }

    /// <summary>The writer's identity, by its name. The file's writers are fenced by this.</summary>
    public async Task<WriterId> WriterAsync(string path, string name)
    {
        while (true)
        {
            var reply = await CallAsync<LookUpWriterReply>(_master, MessageKind.LookUpWriter, new LookUpWriterRequest { Path = path, Name = name });
            if (reply is { Status: Status.Ok or Status.Expired })
                return new WriterId(reply.Writer);
            await Task.Delay(Pause, process.Time);
        }
    }

    private async Task<FileImage?> TryReadAsync(string path)
    {
        var chunks = new List<ChunkImage>();
        while (true)
        {
            var located = await CallAsync<LocateChunksReply>(_master, MessageKind.LocateChunks,
                new LocateChunksRequest { Path = path, FirstIndex = (ulong)chunks.Count, Limit = 100 });
            if (located is { Status: Status.NotFound })
                return new FileImage(path, []);
            if (located is not { Status: Status.Ok })
                return null;
            foreach (var location in located.Chunks)
            {
                if (await TryReadChunkAsync(path, location) is not { } chunk)
                    return null;
                chunks.Add(chunk);
            }
            if ((ulong)chunks.Count >= located.ChunkCount || located.Chunks.Count == 0)
                return new FileImage(path, chunks);
        }
    }

    /// <summary>Null: a replica does not answer, or does not know yet that it has as much as the others.</summary>
    private async Task<ChunkImage?> TryReadChunkAsync(string path, ChunkLocation location)
    {
        var handle = new ChunkHandle(location.Handle);
        var replicas = new List<ReplicaImage>();
        foreach (var member in location.Members)
        {
            if (IsLost(member))
                continue;       // whether the others are as many as they can be is checked apart
            if (await TryReadReplicaAsync(location.Handle, member.Address) is not { } replica)
                return null;
            replicas.Add(replica);
        }
        if (!location.Sealed && !replicas.Any(r => r.IsSettled))
        {
            // No active primary: the replicas may know less than was acknowledged.
            await CallAsync<LocateTailReply>(_master, MessageKind.LocateTail,
                new LocateTailRequest { Path = path, SuspectHandle = location.Handle, SuspectVersion = location.Version });
            return null;
        }
        if (location.Sealed)
        {
            if (!replicas.All(r => r.IsSealed && r.Committed.Length == location.SealedLength))
                return null;
        }
        else
        {
            var settled = replicas.First(r => r.IsSettled);
            if (settled.Version != location.Version || replicas.Any(r => r.IsSealed))
                return null;        // the view changed while we looked, or the chunk was sealed
            int committed = settled.Committed.Length;
            for (int i = 0; i < replicas.Count; i++)
            {
                if (!replicas[i].IsSettled)
                    replicas[i] = replicas[i] with { Committed = OnDisk(replicas[i].Server, handle, committed) };
            }
        }
        return new ChunkImage(handle, location.Index, location.Sealed, replicas);
    }

    /// <summary>
    /// The server is gone with its disk, though another one may have its address. The master waits for it: nobody told it.
    /// </summary>
    private bool IsLost(ServerAddress holder)
    {
        var machine = cluster.ServerAt(holder.Address);
        return machine.IsGone || (machine.Node?.Node is ChunkServerNode { Id: { } id } && id.Value != holder.ServerId);
    }

    private byte[] OnDisk(string server, ChunkHandle handle, int length)
    {
        byte[] bytes = cluster.ServerAt(server).Disk.ReadAll(SimulatedCluster.FileOf(handle));
        return bytes.Length > length ? bytes[..length] : bytes;
    }

    private async Task<ReplicaImage?> TryReadReplicaAsync(ulong handle, string address)
    {
        var bytes = new MemoryStream();
        while (true)
        {
            var result = await wire.LinkTo(address).CallAsync(MessageKind.ReadFrames,
                new ReadFramesRequest { Handle = handle, Offset = (uint)bytes.Length, MaxBytes = 1 << 20 }, Payload.Empty, CallTimeout);
            if (!result.IsAnswered)
                return null;
            var reply = result.Answer<ReadFramesReply>();
            bytes.Write(result.Payload.Span);
            int got = result.Payload.Length;
            result.Payload.Release();
            if (reply.Status != ReadStatus.ReadOk)
                return null;
            if (got == 0 || bytes.Length >= reply.Committed)
                return new ReplicaImage(address, bytes.ToArray(), reply.Sealed, reply.Settled, reply.Ballot >> 24);
        }
    }

    private async Task<T?> CallAsync<T>(string address, MessageKind kind, IMessage request) where T : class, IMessage
    {
        var result = await wire.LinkTo(address).CallAsync(kind, request, Payload.Empty, CallTimeout);
        if (!result.IsAnswered)
            return null;
        result.Payload.Release();
        return result.Answer<T>();
    }
}
