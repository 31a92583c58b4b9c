using Semel.Client.Cluster;
using Semel.Protocol.Identity;

namespace Semel.Client.Appending;

/// <summary>
/// Answers what is repeated of the writer's earlier incarnations: it is in the file, and either has the same bytes there, or was not
/// compared, or the writer ends. While something is compared nothing new is taken, so that a wrong source is found out before anything of
/// it is appended.
/// </summary>
internal sealed class RepeatedRecords(ClientParts parts, AppendPipeline pipeline, AppendIdentity identity, string path, RememberedRecords remembered, WriterOptions options)
    : IAsyncDisposable
{
    /// <inheritdoc cref="RememberedRecords.LastSequence"/>
    public ulong LastSequence => remembered.LastSequence;

    /// <inheritdoc cref="RememberedRecords.ComparableFrom"/>
    public ulong ComparableFrom => remembered.ComparableFrom;

    /// <param name="sequence">1 to <see cref="LastSequence"/>.</param>
    /// <param name="record">Copied before this method returns, if it is needed longer.</param>
    /// <exception cref="OperationIdReusedException">Other bytes are in the file; the writer has ended.</exception>
    /// <exception cref="AppendCanceledException">The token was cancelled before the comparison was over.</exception>
    /// <exception cref="SemelException">The writer has ended.</exception>
    public ValueTask<AppendResult> CompareAsync(ulong sequence, ReadOnlyMemory<byte> record, CancellationToken cancellation)
    {
        try
        {
            pipeline.Hold();
        }
        catch (SemelException ended)
        {
            return ValueTask.FromException<AppendResult>(ended);
        }
        if (sequence < ComparableFrom)
        {
            pipeline.Release();
            return ValueTask.FromResult(Uncompared(sequence, ReplayComparison.Forgotten));
        }
        var reading = remembered.ReadAsync(sequence);
        return CompareAsync(sequence, reading.IsCompleted ? record : record.ToArray(), reading, cancellation);
    }

    public ValueTask DisposeAsync() => remembered.DisposeAsync();

    private async ValueTask<AppendResult> CompareAsync(ulong sequence, ReadOnlyMemory<byte> record, Task<SemelRecord?> reading, CancellationToken cancellation)
    {
        try
        {
            var found = await reading.WaitAsync(options.AppendTimeout ?? Timeout.InfiniteTimeSpan, parts.Time, cancellation);
            return found is { } there ? Compare(sequence, record.Span, there) : Uncompared(sequence, ReplayComparison.Unreadable);
        }
        catch (TimeoutException)
        {
            return Uncompared(sequence, ReplayComparison.Unreadable);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            var operation = identity.Operation(sequence);
            throw new AppendCanceledException($"The wait for record {operation} was cancelled before it was compared with the one that is in the file.", operation, cancellation);
        }
        finally
        {
            pipeline.Release();
        }
    }

    private AppendResult Compare(ulong sequence, ReadOnlySpan<byte> record, SemelRecord there)
    {
        if (record.SequenceEqual(there.Data.Span))
        {
            return new AppendResult
            {
                Operation = identity.Operation(sequence),
                Replayed = true,
                Comparison = ReplayComparison.Equal,
                Position = there.Position,
                OffsetInFile = there.OffsetInFile,
                Time = there.Time,
            };
        }
        string message = $"Sequence {sequence} of writer {identity.Writer} is in {path} with other bytes: {there.Data.Length} bytes there, {record.Length} here, "
            + $"the same up to byte {record.CommonPrefixLength(there.Data.Span)}. This is another source than was appended before, or it was changed since. "
            + "Append it under another writer name, or begin anew.";
        OperationIdReusedException differs() => new(message, sequence, there.Data);
        pipeline.End(differs, refused: null);
        throw differs();
    }

    private AppendResult Uncompared(ulong sequence, ReplayComparison why) =>
        new() { Operation = identity.Operation(sequence), Replayed = true, Comparison = why };
}
