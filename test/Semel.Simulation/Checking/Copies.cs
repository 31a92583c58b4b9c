using Google.Protobuf;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;
using Semel.Storage.Chunks;

namespace Semel.Simulation.Checking;

/// <summary>
/// Knows of each chunk up to where primaries have said <i>committed</i>, and finds on the simulated disks, without asking any server, who
/// has a copy of all of that: its frames verify from the first one up to the last that was answered. What may be taken from a cluster, and
/// what a cluster may not take from itself, follows from it.
/// </summary>
internal sealed class Copies
{
    private readonly SimulatedCluster _cluster;
    private readonly SortedDictionary<ulong, Answered> _answered = [];
    private readonly Dictionary<ulong, ulong> _indexes = [];

    public Copies(SimulatedCluster cluster)
    {
        _cluster = cluster;
        cluster.Network.Replied += Saw;
        foreach (var server in cluster.ChunkServers)
            server.Disk.Shortening = (name, length) => Shortening(server, name, length);
    }

    /// <summary>Chunks in which something was acknowledged.</summary>
    public IEnumerable<ChunkHandle> Chunks => _answered.Keys.Select(h => new ChunkHandle(h));

    /// <summary>
    /// The server's disk has all that was acknowledged of the chunk, whatever the server may know or believe. Where no record was
    /// acknowledged, the longest log counts: there may be more in it than records.
    /// </summary>
    public bool IsWholeAt(SimulatedServer server, ChunkHandle handle)
    {
        if (FramesAt(server, handle) is not { } frames)
            return false;
        return _answered.TryGetValue(handle.Value, out var last)
            ? Has(frames, handle, last)
            : TailOf(frames, handle) >= _cluster.ChunkServers.Max(other => FramesAt(other, handle) is { } theirs ? TailOf(theirs, handle) : 0);
    }

    /// <summary>
    /// Servers that have all of it, and can know that: not those whose files somebody exchanged, nor those that lost power where that may
    /// cost what was acknowledged.
    /// </summary>
    public IEnumerable<SimulatedServer> Provable(ChunkHandle handle) => _cluster.ChunkServers.Where(server =>
        !server.IsGone && !server.WasHarmed && !(server.LostPower && _cluster.Shape.Durability == Durability.Memory) && IsWholeAt(server, handle));

    private void Saw(SimulatedCall call, IMessage reply)
    {
        if (call.Kind != MessageKind.Append || reply is not AppendReply { Status: AppendStatus.Committed } answer)
            return;
        var request = (AppendRequest)call.Request;
        if (_answered.TryGetValue(request.Handle, out var before) && answer.Offset <= before.Offset)
            return;
        if (!_indexes.TryGetValue(request.Handle, out ulong index))
            _indexes[request.Handle] = index = MetadataAt(_cluster.ServerAt(call.Address), new ChunkHandle(request.Handle))?.Chunk.Index ?? ulong.MaxValue;
        if (answer.ChunkIndex == index)     // a retry may be answered with its place in a chunk before this one
            _answered[request.Handle] = new Answered(answer.Offset, request.Writer, request.Epoch, request.FirstSequence);
    }

    /// <summary>A server takes a file away, or a part of it. It must not be the last copy of what was acknowledged.</summary>
    private void Shortening(SimulatedServer server, string name, long length)
    {
        if (HandleOf(name) is not { } handle || !_answered.TryGetValue(handle.Value, out var last) || length > last.Offset || !IsWholeAt(server, handle))
            return;
        if (_cluster.ChunkServers.Any(other => other != server && !other.IsGone && IsWholeAt(other, handle)))
            return;
        string done = length == 0 ? "deleted" : $"cut to {length} bytes";
        _cluster.World.Fail($"{server.Host}: the LAST WHOLE COPY of chunk {handle} is {done}; up to {last.Offset} it was acknowledged");
    }

    private static bool Has(byte[] frames, ChunkHandle handle, Answered last)
    {
        for (var reader = new FrameReader(frames, 0, FrameHeader.ChainSeed(handle)); reader.Read();)
        {
            var frame = reader.Header;
            if (frame.Offset == last.Offset)
                return frame.Writer.Value == last.Writer && frame.FirstSequence == last.FirstSequence && frame.Epoch == last.Epoch;
        }
        return false;
    }

    private static uint TailOf(byte[] frames, ChunkHandle handle)
    {
        var reader = new FrameReader(frames, 0, FrameHeader.ChainSeed(handle));
        while (reader.Read())
        {
        }
        return reader.Offset;
    }

    private static byte[]? FramesAt(SimulatedServer server, ChunkHandle handle)
    {
        string name = SimulatedCluster.FileOf(handle);
        return server.Disk.Exists(name) && server.Disk.Exists(MetadataOf(name)) ? server.Disk.ReadAll(name) : null;
    }

    private static ChunkMetadata? MetadataAt(SimulatedServer server, ChunkHandle handle)
    {
        string name = MetadataOf(SimulatedCluster.FileOf(handle));
        if (!server.Disk.Exists(name))
            return null;
        byte[] bytes = server.Disk.ReadAll(name);
        for (int slot = 0; slot < bytes.Length; slot += ChunkMetadata.SlotStride)
        {
            if (ChunkMetadata.TryRead(bytes.AsSpan(slot), out var metadata, out _, out _))
                return metadata;
        }
        return null;
    }

    private static string MetadataOf(string chunkFile) => Path.ChangeExtension(chunkFile, "meta");

    /// <summary>Null: not the frames of a replica.</summary>
    private static ChunkHandle? HandleOf(string name) =>
        name.StartsWith("chunks/", StringComparison.Ordinal) && name.EndsWith(".chunk", StringComparison.Ordinal) ? SimulatedCluster.HandleOf(name) : null;

    /// <summary>The last append that a primary called committed.</summary>
    private sealed record Answered(uint Offset, ulong Writer, uint Epoch, ulong FirstSequence);
}
