using Semel.Cli.Terminal;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>What reading every replica of every chunk of a file found.</summary>
/// <param name="Chunks">Chunks of the file.</param>
/// <param name="Replicas">Replicas that were read.</param>
/// <param name="Records">Records of one copy of the file.</param>
/// <param name="Duplicates">Operation ids (writer, epoch, sequence) that stand in the file more than once.</param>
/// <param name="Gaps">Sequences that a writer's next record skips.</param>
/// <param name="Faults">What differs between replicas or does not verify, for people.</param>
internal sealed record AuditResult(long Chunks, long Replicas, long Records, long Duplicates, long Gaps, IReadOnlyList<string> Faults)
{
    public bool ReplicasAreIdentical => Faults.Count == 0;
}

/// <summary>
/// Reads every replica of every chunk of a file from its server directly and compares them. Trusts the master only for where the replicas are.
/// </summary>
internal sealed class FileAudit(IWire wire, string master, TimeProvider time)
{
    private const uint LocationsPerCall = 1000;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private const int Attempts = 100;
    private const int SettleAttempts = 200;

    private readonly Dictionary<ulong, (uint Epoch, ulong Sequence)> _writers = [];
    private readonly List<string> _faults = [];
    private long _replicas;
    private long _records;
    private long _duplicates;
    private long _gaps;

    /// <param name="path">The file.</param>
    /// <param name="onRecord">Gets each record of one replica of each chunk, in file order.</param>
    /// <param name="progress">Called with the number of chunks done and of all.</param>
    /// <param name="cancellation">Gives up.</param>
    public async Task<AuditResult> RunAsync(string path, ReplicaReader.OnRecord? onRecord, Action<long, long> progress, CancellationToken cancellation)
    {
        ulong next = 0;
        while (true)
        {
            var located = await LocateAsync(path, next, cancellation);
            foreach (var chunk in located.Chunks)
            {
                if (chunk.Index != next)
                    _faults.Add($"chunk {next} of {path} is missing; the master names {chunk.Index} next");
                await ReadChunkAsync(chunk.Sealed ? chunk : await SettleAsync(path, chunk, cancellation), onRecord, cancellation);
                next = chunk.Index + 1;
                progress((long)next, (long)located.ChunkCount);
            }
            if (next >= located.ChunkCount || located.Chunks.Count == 0)
                return new AuditResult((long)next, _replicas, _records, _duplicates, _gaps, _faults);
        }
    }

    /// <summary>
    /// Waits until the open chunk has an active primary: only that one knows how far the chunk is committed. A server that was started again has
    /// acknowledged records on its disk of which it cannot know it yet; the master is asked for a primary then, as a client would.
    /// </summary>
    private async Task<ChunkLocation> SettleAsync(string path, ChunkLocation chunk, CancellationToken cancellation)
    {
        string fault = "";
        for (int attempt = 0; attempt < SettleAttempts; attempt++)
        {
            if (attempt > 0)
            {
                var complaint = new LocateTailRequest { Path = path, SuspectHandle = chunk.Handle, SuspectVersion = chunk.Version };
                (await wire.LinkTo(master).CallAsync(MessageKind.LocateTail, complaint, default, CallTime, cancellation)).Payload.Release();
                await Task.Delay(Pause, time, cancellation);
                chunk = (await LocateAsync(path, chunk.Index, cancellation)).Chunks[0];
            }
            if (chunk.Sealed)
                return chunk;
            var probe = new ReadFramesRequest { Handle = chunk.Handle, MaxBytes = 1 };
            var result = await wire.LinkTo(chunk.Primary.Address).CallAsync(MessageKind.ReadFrames, probe, default, CallTime, cancellation);
            result.Payload.Release();
            cancellation.ThrowIfCancellationRequested();
            if (result.IsAnswered && result.Answer<ReadFramesReply>() is { Settled: true })
                return chunk;
            fault = result.Detail ?? "it is not the chunk's active primary";
        }
        throw new CommandException(ExitCode.Temporary, $"Chunk {chunk.Index} of {path} has no active primary, so nobody can say where the file ends: {chunk.Primary.Address}: {fault}");
    }

    private async Task ReadChunkAsync(ChunkLocation chunk, ReplicaReader.OnRecord? onRecord, CancellationToken cancellation)
    {
        // The primary's replica first: for an open chunk its watermark is what the others must reach.
        var servers = chunk.Members.Select(m => m.Address).OrderBy(a => a == chunk.Primary?.Address ? 0 : 1).ToList();
        if (servers.Count == 0)
        {
            _faults.Add($"chunk {chunk.Index} has no replica");
            return;
        }
        uint atLeast = chunk.Sealed ? chunk.SealedLength : 0;
        ReplicaContent? first = null;
        foreach (string server in servers)
        {
            var content = await ReplicaReader.ReadAsync(wire, server, new ChunkHandle(chunk.Handle), atLeast, first is null ? Count(onRecord) : null, cancellation);
            _replicas++;
            if (content.Fault is not null)
                _faults.Add($"chunk {chunk.Index} on {server}: {content.Fault}");
            if (first is null)
            {
                first = content;
                atLeast = content.Length;
                _records += content.Records;
                if (chunk.Sealed && content.Length != chunk.SealedLength)
                    _faults.Add($"chunk {chunk.Index} on {server} is {content.Length} bytes long, the master says {chunk.SealedLength}");
            }
            else if (content.Digest != first.Digest)
            {
                _faults.Add($"chunk {chunk.Index} differs: {content.Length} bytes {content.Digest[..16]} on {server}, {first.Length} bytes {first.Digest[..16]} on {first.Server}");
            }
        }
    }

    private ReplicaReader.OnRecord Count(ReplicaReader.OnRecord? then) => (in FrameHeader frame, int index, ReadOnlySpan<byte> record) =>
    {
        if (frame.Writer != WriterId.Anonymous)
        {
            ulong sequence = frame.FirstSequence + (ulong)index;
            var (epoch, last) = _writers.GetValueOrDefault(frame.Writer.Value);
            if (sequence <= last)
                _duplicates++;
            else
                _gaps += (long)(sequence - last - 1);
            _writers[frame.Writer.Value] = (Math.Max(epoch, frame.Epoch), Math.Max(last, sequence));
        }
        then?.Invoke(frame, index, record);
    };

    private async Task<LocateChunksReply> LocateAsync(string path, ulong first, CancellationToken cancellation)
    {
        string? fault = null;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            var request = new LocateChunksRequest { Path = path, FirstIndex = first, Limit = LocationsPerCall };
            var result = await wire.LinkTo(master).CallAsync(MessageKind.LocateChunks, request, default, CallTime, cancellation);
            cancellation.ThrowIfCancellationRequested();
            result.Payload.Release();
            if (result.IsAnswered)
            {
                var reply = result.Answer<LocateChunksReply>();
                if (reply.Status == Status.Ok)
                    return reply;
                if (reply.Status == Status.NotFound)
                    throw new CommandException(ExitCode.NotFound, $"There is no file {path}. {reply.Detail}");
                fault = $"{reply.Status} {reply.Detail}";
            }
            else
            {
                fault = result.Detail;
            }
            await Task.Delay(Pause, time, cancellation);
        }
        throw new CommandException(ExitCode.Temporary, $"The master {master} does not say where the chunks of {path} are: {fault}");
    }
}
