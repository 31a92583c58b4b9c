using System.Runtime.CompilerServices;
using Semel.Client.Cluster;
using Semel.Protocol.Messages;

namespace Semel.Client.Reading;

/// <summary>
/// Reads a file's records from a position on, chunk after chunk. While the caller handles a block the next one is under way. A chunk's successor exists
/// only when the chunk is sealed, so reading goes on there exactly when a replica says that the chunk ends here for ever.
/// </summary>
internal sealed class RecordReading(ClientParts parts, string path)
{
    private readonly Queue<ChunkLocation> _ahead = new();
    private ulong _fileId;
    private uint _capacity;

    public async IAsyncEnumerable<SemelRecord> ReadAsync(
        RecordPosition from, bool follow, [EnumeratorCancellation] CancellationToken cancellation)
    {
        if (from == RecordPosition.End)
            from = await FindEndAsync(cancellation);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        for (ulong index = from.ChunkIndex; ; index++)
        {
            var location = await LocateAsync(index, from, follow, cancellation);
            if (location is null)
                yield break;
            var reading = new ChunkReading(parts, new SourceFile(path, _fileId, _capacity), location, from, follow);
            var next = reading.NextAsync(stop.Token);
            VerifiedBlock? block = null;
            try
            {
                while (true)
                {
                    var step = await next;
                    if (step.IsEndOfFile)
                        yield break;
                    if (step.Block is null)
                        break;
                    block = step.Block;
                    next = reading.NextAsync(stop.Token);
                    while (block.TryNext(out var record))
                    {
                        cancellation.ThrowIfCancellationRequested();
                        if (record.Position >= from)
                            yield return record;
                    }
                    block.Release();
                }
            }
            finally
            {
                block?.Release();
                await AbandonAsync(next, stop);
            }
        }
    }

    /// <summary>Gives up what is under way, if anything is.</summary>
    private static async Task AbandonAsync(Task<ChunkStep> next, CancellationTokenSource stop)
    {
        if (!next.IsCompleted)
            stop.Cancel();
        try
        {
            (await next).Block?.Release();
        }
        catch (Exception e) when (e is SemelException or OperationCanceledException)
        {
            // Whoever wanted to know has stopped reading, or has just been told.
        }
    }

    /// <summary>Where a chunk is. Null: the file ends before it, and nobody waits for it.</summary>
    private async Task<ChunkLocation?> LocateAsync(ulong index, RecordPosition from, bool follow, CancellationToken cancellation)
    {
        while (_ahead.TryPeek(out var ahead) && ahead.Index < index)
            _ahead.Dequeue();
        if (_ahead.TryDequeue(out var known))
            return known;
        var backoff = new Backoff(parts.Jitter);
        while (true)
        {
            var reply = await ChunkDirectory.ListAsync(parts, path, _fileId, index, ChunkDirectory.Page, cancellation);
            if (from.FileId != 0 && from.FileId != reply.FileId)
                throw new PositionOfAnotherFileException(path, from, reply.FileId);
            _fileId = reply.FileId;
            _capacity = reply.ChunkCapacity;
            foreach (var chunk in reply.Chunks)
                _ahead.Enqueue(chunk);
            if (_ahead.TryDequeue(out var first))
                return first;
            if (index == from.ChunkIndex && (index > reply.ChunkCount || from.FrameOffset > 0 || from.RecordIndex > 0))
                throw new InvalidPositionException(path, from, $"{path} has {reply.ChunkCount} chunks; the position {from} is behind them. Use a position that came from this file.");
            if (!follow)
                return null;
            await Task.Delay(backoff.Next(), parts.Time, cancellation);
        }
    }

    /// <summary>Where the file ends now, as its primary says.</summary>
    private async Task<RecordPosition> FindEndAsync(CancellationToken cancellation)
    {
        var backoff = new Backoff(parts.Jitter);
        long start = parts.Time.GetTimestamp();
        while (true)
        {
            var count = await ChunkDirectory.ListAsync(parts, path, _fileId, 0, 1, cancellation);
            _fileId = count.FileId;
            if (count.ChunkCount == 0)
                return RecordPosition.Start;
            var last = await ChunkDirectory.FindAsync(parts, new SourceFile(path, _fileId, count.ChunkCapacity), count.ChunkCount - 1, cancellation);
            string reason = "the file's last chunk is not placed";
            if (last is { Sealed: true })
                return new RecordPosition(last.Index, last.SealedLength, 0);
            if (last?.Primary is { } primary)
            {
                var result = await new ReplicaReading(parts).InspectAsync(last, primary, cancellation);
                if (result is { Report: { Primary: true } or { Sealed: true } } && result.Status == Status.Ok)
                    return new RecordPosition(last.Index, result.Report.Committed, 0);
                reason = $"{primary.Address} is not its primary";
                await parts.Master.AskOnceAsync<LocateTailReply>(
                    MessageKind.LocateTail,
                    new LocateTailRequest { Path = path, FileId = _fileId, SuspectHandle = last.Handle, SuspectVersion = last.Version },
                    TimeSpan.FromSeconds(5),
                    cancellation);
            }
            var wait = backoff.Next();
            if (parts.Time.GetElapsedTime(start) + wait >= parts.Options.OperationTimeout)
                throw new ClusterUnavailableException($"The end of {path} was not found within {parts.Options.OperationTimeout.TotalSeconds:0.###} s: {reason}. Try again, or look at `semel cluster status`.");
            await Task.Delay(wait, parts.Time, cancellation);
        }
    }
}
