using Google.Protobuf;
using Semel.Cli.Terminal;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>Asks the master where the replicas of a file's chunks are, and primaries how far they are committed. Tries for as long as a failure may take to be repaired.</summary>
/// <param name="wire">Reaches the master and chunk servers.</param>
/// <param name="master">Its address.</param>
/// <param name="time">For pauses and limits.</param>
/// <param name="patience">How long a master that does not answer is waited for, or an open chunk that has no primary; null: 5 min.</param>
internal sealed class ChunkMap(IWire wire, string master, TimeProvider time, TimeSpan? patience = null)
{
    private const uint LocationsPerCall = 1000;
    private const int ReportAttempts = 200;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private readonly TimeSpan _patience = patience ?? TimeSpan.FromMinutes(5);

    /// <summary>The file's id, and how many replicas each of its chunks should have.</summary>
    /// <exception cref="CommandException">There is no such file, or the master does not answer.</exception>
    public async Task<StatReply> StatAsync(string path, CancellationToken cancellation)
    {
        var reply = await AskAsync<StatReply>(MessageKind.Stat, new StatRequest { Path = path }, r => (r.Status, r.Detail), path, cancellation);
        return reply.Directory ? throw CommandException.Usage($"{path} is a directory. Name a file, or use --all.") : reply;
    }

    /// <summary>All chunk servers that the master knows, dead ones, too.</summary>
    /// <exception cref="CommandException">The master does not answer.</exception>
    public async Task<IReadOnlyList<ServerStatus>> ServersAsync(CancellationToken cancellation) =>
        (await AskAsync<ClusterStatusReply>(MessageKind.ClusterStatus, new ClusterStatusRequest(), r => (r.Status, ""), "/", cancellation)).Servers;

    /// <summary>What the master knows of writers that were found in the file.</summary>
    /// <exception cref="CommandException">There is no such file (any more), or the master does not answer.</exception>
    public async Task<IReadOnlyList<IdentifiedWriter>> IdentifyAsync(string path, ulong fileId, IEnumerable<ulong> writers, CancellationToken cancellation)
    {
        var request = new IdentifyWritersRequest { Path = path, FileId = fileId };
        request.Writers.AddRange(writers);
        return (await AskAsync<IdentifyWritersReply>(MessageKind.IdentifyWriters, request, r => (r.Status, r.Detail), path, cancellation)).Writers;
    }

    /// <summary>The file's chunks from an index on, up to a thousand.</summary>
    /// <exception cref="CommandException">There is no such file, or the master does not answer.</exception>
    public Task<LocateChunksReply> LocateAsync(string path, ulong first, CancellationToken cancellation) => LocateAsync(path, first, LocationsPerCall, cancellation);

    /// <exception cref="CommandException">There is no such chunk (any more), or the master does not answer.</exception>
    public async Task<ChunkLocation> LocateOneAsync(string path, ulong index, CancellationToken cancellation)
    {
        var located = await LocateAsync(path, index, 1, cancellation);
        return located.Chunks.Count == 1 ? located.Chunks[0] : throw new CommandException(ExitCode.NotFound, $"{path} has no chunk {index}: it has {located.ChunkCount}.");
    }

    /// <summary>
    /// Waits until the open chunk has an active primary: only that one knows how far the chunk is committed. A server that was started again has
    /// acknowledged records on its disk of which it cannot know it yet; the master is asked for a primary then, as a client would.
    /// </summary>
    /// <returns>The chunk as it is located then, and how many of its bytes are committed.</returns>
    /// <exception cref="CommandException">It gets no primary.</exception>
    public async Task<(ChunkLocation Chunk, uint Length)> SettleAsync(string path, ChunkLocation chunk, CancellationToken cancellation)
    {
        string fault = "", complained = "";
        long began = time.GetTimestamp();
        for (int attempt = 0; attempt == 0 || time.GetElapsedTime(began) < _patience; attempt++)
        {
            if (attempt > 0)
            {
                var complaint = new LocateTailRequest { Path = path, SuspectHandle = chunk.Handle, SuspectVersion = chunk.Version };
                var rest = _patience - time.GetElapsedTime(began);
                var asked = await wire.LinkTo(master)
                    .CallAsync(MessageKind.LocateTail, complaint, default, rest < CallTime && rest > Pause ? rest : CallTime, cancellation);
                asked.Payload.Release();
                // The master knows better who is missing than the server that was the primary.
                if (asked.IsAnswered && asked.Answer<LocateTailReply>() is { Status: not Status.Ok, Detail.Length: > 0 } reason)
                    complained = " " + reason.Detail;
                await Task.Delay(Pause, time, cancellation);
                chunk = await LocateOneAsync(path, chunk.Index, cancellation);
            }
            if (chunk.Sealed)
                return (chunk, chunk.SealedLength);
            var probe = new ReadFramesRequest { Handle = chunk.Handle, MaxBytes = 1, ServerId = chunk.Primary.ServerId };
            var result = await wire.LinkTo(chunk.Primary.Address).CallAsync(MessageKind.ReadFrames, probe, default, CallTime, cancellation);
            result.Payload.Release();
            cancellation.ThrowIfCancellationRequested();
            if (result.IsAnswered && result.Answer<ReadFramesReply>() is { Settled: true } reply)
                return (chunk, reply.Committed);
            fault = result.Detail ?? "it is not the chunk's active primary";
        }
        throw new CommandException(
            ExitCode.Temporary,
            $"Chunk {chunk.Index} of {path} has no active primary, so nobody can say where the file ends: "
            + $"{chunk.Primary.Address}: {fault}.{complained}");
    }

    /// <summary>
    /// Asks again because of findings. A master that has just started goes by its log, which says where replicas were put and not which were lost since: if one is
    /// missing, it is asked once it has heard what its servers hold. A server that does not come keeps nobody waiting beyond 20 seconds.
    /// </summary>
    /// <returns>The chunk as it is located then, and whether it may be counted on that its members have it.</returns>
    /// <exception cref="CommandException">There is no such chunk any more, or the master does not answer.</exception>
    public async Task<(ChunkLocation Chunk, bool IsConfirmed)> LocateAgainAsync(
        string path, ulong index, IEnumerable<Finding> findings, CancellationToken cancellation)
    {
        bool isConfirmed = findings.All(f => f.Kind is not FindingKind.Missing);
        for (int attempt = 0; attempt < ReportAttempts && !isConfirmed; attempt++)
        {
            if (attempt > 0)
                await Task.Delay(Pause, time, cancellation);
            var status = await AskAsync<ClusterStatusReply>(MessageKind.ClusterStatus, new ClusterStatusRequest(), r => (r.Status, ""), path, cancellation);
            isConfirmed = !status.Recovering;
        }
        return (await LocateOneAsync(path, index, cancellation), isConfirmed);
    }

    private Task<LocateChunksReply> LocateAsync(string path, ulong first, uint limit, CancellationToken cancellation) =>
        AskAsync<LocateChunksReply>(
            MessageKind.LocateChunks, new LocateChunksRequest { Path = path, FirstIndex = first, Limit = limit }, r => (r.Status, r.Detail), path, cancellation);

    private async Task<T> AskAsync<T>(MessageKind kind, IMessage request, Func<T, (Status, string)> statusOf, string path, CancellationToken cancellation)
        where T : class, IMessage
    {
        string? fault = null;
        long began = time.GetTimestamp();
        for (int attempt = 0; attempt == 0 || time.GetElapsedTime(began) < _patience; attempt++)
        {
            var limit = CallTime < _patience ? CallTime : _patience;
            var result = await wire.LinkTo(master).CallAsync(kind, request, default, limit, cancellation);
            cancellation.ThrowIfCancellationRequested();
            result.Payload.Release();
            if (result.IsAnswered)
            {
                var reply = result.Answer<T>();
                var (status, detail) = statusOf(reply);
                if (status == Status.Ok)
                    return reply;
                if (status == Status.NotFound)
                    throw new CommandException(ExitCode.NotFound, $"There is no file {path}. {detail}");
                if (status is Status.Invalid or Status.Conflict)
                    throw CommandException.Usage($"{path}: {detail}");
                fault = $"{status} {detail}";
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
