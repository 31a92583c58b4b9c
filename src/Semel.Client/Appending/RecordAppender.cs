using Semel.Client.Cluster;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Client.Appending;

/// <summary>What a writer's callers wait for: a record to be taken, to be in the file, or to be given up.</summary>
internal sealed class RecordAppender(
    ClientParts parts, AppendPipeline pipeline, AppendIdentity identity, uint chunkCapacity, RepeatedRecords repeated, WriterOptions options)
{
    public AppendPipeline Pipeline => pipeline;

    public RepeatedRecords Repeated => repeated;

    public int MaxRecordBytes { get; } = ChunkLimits.MaxRecordLength(chunkCapacity);

    /// <summary>Takes a record and completes when it is in the file.</summary>
    public ValueTask<AppendResult> AppendAsync(ReadOnlyMemory<byte> record, ulong? sequence, CancellationToken cancellation)
    {
        if (Refuse(record.Length, cancellation) is { } refusal)
            return ValueTask.FromException<AppendResult>(refusal);
        if (sequence <= repeated.LastSequence)
            return repeated.CompareAsync(sequence.Value, record, cancellation);
        try
        {
            return pipeline.TryTake(record, sequence, copyIfWaiting: true, out var placed, out var waiter)
                ? CommittedAsync(placed, cancellation)
                : AppendWhenTakenAsync(waiter, cancellation);
        }
        catch (SemelException ended)
        {
            return ValueTask.FromException<AppendResult>(ended);
        }
    }

    /// <summary>Takes a record; completes when it is taken.</summary>
    public ValueTask<OperationId> EnqueueAsync(ReadOnlyMemory<byte> record, CancellationToken cancellation)
    {
        if (Refuse(record.Length, cancellation) is { } refusal)
            return ValueTask.FromException<OperationId>(refusal);
        try
        {
            return pipeline.TryTake(record, null, copyIfWaiting: false, out var placed, out var waiter)
                ? ValueTask.FromResult(OperationOf(placed))
                : EnqueueWhenTakenAsync(waiter, cancellation);
        }
        catch (SemelException ended)
        {
            return ValueTask.FromException<OperationId>(ended);
        }
    }

    /// <summary>Takes records as one batch of their own and completes when they are in the file.</summary>
    public async ValueTask<IReadOnlyList<AppendResult>> AppendBatchAsync(IReadOnlyList<ReadOnlyMemory<byte>> records, CancellationToken cancellation)
    {
        if (records.Count > RecordBatch.MaxRecords)
            throw new ArgumentException($"The batch has {records.Count} records; {RecordBatch.MaxRecords} are allowed.", nameof(records));
        if (records.Count == 0)
            return [];
        var batch = Fill(records);
        if (cancellation.IsCancellationRequested)
            throw NotTaken(cancellation);
        if (!pipeline.TryTakeBatch(batch, out var waiter))
            await TakenAsync(waiter, cancellation);
        try
        {
            // The records share one fate: the first one's wait is everybody's.
            await CommittedAsync(new Placed(batch, 0), cancellation);
        }
        catch (AppendInDoubtException doubt)
        {
            var operations = Enumerable.Range(0, records.Count).Select(i => OperationOf(new Placed(batch, i))).ToArray();
            throw new AppendInDoubtException(doubt.Message, operations, doubt.InnerException);
        }
        var results = new AppendResult[records.Count];
        for (int i = 0; i < results.Length; i++)
            results[i] = batch.ResultOf(i);
        return results;
    }

    /// <summary>Completes when everything that was taken before, or waits for room now, is in the file.</summary>
    public async Task FlushAsync(CancellationToken cancellation)
    {
        Task done;
        while (!pipeline.TryFlush(out done!, out var behind))
            await TakenAsync(behind, cancellation);
        await done.WaitAsync(cancellation);
    }

    private Batch Fill(IReadOnlyList<ReadOnlyMemory<byte>> records)
    {
        long bytes = 0;
        foreach (var record in records)
            bytes += RecordBatch.Footprint(record.Length);
        int limit = ChunkLimits.MaxBatchPayload(chunkCapacity);
        if (bytes > limit)
            throw new RecordTooLargeException("atomic batch (with 4 bytes for each record)", bytes, limit);
        var batch = new Batch(parts.Signals, 0, 0, (int)bytes);
        foreach (var record in records)
            batch.Add(record.Span);
        return batch;
    }

    private Exception? Refuse(int length, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
            return NotTaken(cancellation);
        return length > MaxRecordBytes ? new RecordTooLargeException("record", length, MaxRecordBytes) : null;
    }

    private static AppendCanceledException NotTaken(CancellationToken cancellation) =>
        new("The append was cancelled before the record was taken; it is not in the file and will not be.", null, cancellation);

    private async ValueTask<AppendResult> AppendWhenTakenAsync(RoomWaiter waiter, CancellationToken cancellation)
    {
        var placed = await TakenAsync(waiter, cancellation);
        return await CommittedAsync(placed, cancellation);
    }

    private async ValueTask<OperationId> EnqueueWhenTakenAsync(RoomWaiter waiter, CancellationToken cancellation) =>
        OperationOf(await TakenAsync(waiter, cancellation));

    /// <summary>Waits for room, for as long as an append may take. Who gives up leaves nothing behind.</summary>
    private async Task<Placed> TakenAsync(RoomWaiter waiter, CancellationToken cancellation)
    {
        try
        {
            return await waiter.Taken.Task.WaitAsync(options.AppendTimeout ?? Timeout.InfiniteTimeSpan, parts.Time, cancellation);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            if (pipeline.GiveUp(waiter) is { } placed)
                return placed;
            if (e is OperationCanceledException)
                throw NotTaken(cancellation);
            throw new DeadlineExceededException(
                $"The record was not taken within {options.AppendTimeout}: the writer's buffer of {options.MaxBufferedBytes} bytes is full, or what was repeated before it is still being compared. It is not in the file and will not be.",
                inDoubt: false);
        }
    }

    private ValueTask<AppendResult> CommittedAsync(Placed placed, CancellationToken cancellation) =>
        cancellation.CanBeCanceled || options.AppendTimeout is not null
            ? AppendWaiter.Start(parts.Signals, placed.Batch, placed.Index, OperationOf(placed), options.AppendTimeout, parts.Time, cancellation)
            : placed.Batch.TaskOf(placed.Index);

    private OperationId OperationOf(Placed placed) => identity.Operation(placed.Batch, placed.Index);
}
