using System.Threading.Tasks.Sources;
using Semel.Client.Cluster;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Client.Appending;

/// <summary>
/// Records that travel, commit and fail together: one frame. It keeps its sequences and its bytes from the moment it is closed until it is over.
/// <code>
/// Pending --Commit--> Committed   acknowledged; the bytes are given back
///    +------Fail----> Failed      aborted or in doubt, as the failure says
/// </code>
/// It is also what its records' tasks wait on, so that a record costs no object of its own: a task's token is the record's index.
/// </summary>
internal sealed class Batch(Signals signals, ulong firstSequence, long ordinal, int sizeHint) : IValueTaskSource<AppendResult>
{
    private const int LeastBuffer = 1 << 10;

    // Written under the pipeline's lock until the batch is closed, then never again.
    private SharedBuffer _buffer = SharedBuffer.Rent(Math.Max(LeastBuffer, sizeHint));
    private bool _isSummed;
    private int _stride;      // what the first record takes in the payload
    private int[]? _starts;   // where each record begins in the payload; null while all take the same, so that they cost nothing

    private readonly Lock _waitersGate = new();
    private List<Continuation>? _continuations;   // guarded by _waitersGate
    private List<AppendWaiter>? _waiters;         // guarded by _waitersGate
    private volatile BatchOutcome? _outcome;      // set once, under _waitersGate

    public ulong FirstSequence { get; private set; } = firstSequence;
    public ulong LastSequence => FirstSequence + (ulong)Count - 1;
    public int Count { get; private set; }
    public int Length { get; private set; }

    /// <summary>Counts the writer's batches, whatever their sequences.</summary>
    public long Ordinal { get; private set; } = ordinal;

    /// <summary>Of the payload. Set by whoever sends the batch first; one thread sends at a time.</summary>
    public uint Crc { get; private set; }

    /// <summary>How often it was sent. Guarded by the pipeline's lock.</summary>
    public int Attempts { get; set; }

    /// <summary>The next younger batch. Guarded by the pipeline's lock.</summary>
    public Batch? Next { get; set; }

    /// <summary>Acknowledged. Guarded by the pipeline's lock.</summary>
    public bool IsAcknowledged { get; set; }

    /// <summary>True when a record of this length may join.</summary>
    public bool Fits(int recordLength, int maxBytes) => Count < RecordBatch.MaxRecords && Length + RecordBatch.Footprint(recordLength) <= maxBytes;

    /// <summary>Copies a record in and returns its index.</summary>
    public int Add(ReadOnlySpan<byte> record)
    {
        int end = Length + RecordBatch.Footprint(record.Length);
        if (end > _buffer.Capacity)
            Grow(end);
        if (Count == 0)
            _stride = end;
        NoteStart();
        RecordBatch.Write(_buffer.Span[Length..], record);
        Length = end;
        return Count++;
    }

    /// <summary>Puts a batch that was filled apart into the writer's order.</summary>
    public void Place(ulong firstSequence, long ordinal)
    {
        FirstSequence = firstSequence;
        Ordinal = ordinal;
    }

    /// <summary>The bytes to send, with a reference of their own. Under the pipeline's lock: an acknowledgement gives the bytes back.</summary>
    public Payload RetainPayload() => new Payload(_buffer, 0, Length).Retain();

    /// <summary>The payload with its checksum, which is computed once.</summary>
    public Payload Summed(Payload payload)
    {
        if (!_isSummed)
            Crc = payload.Crc;
        _isSummed = true;
        return payload with { KnownCrc = Crc };
    }

    /// <summary>The task of one record.</summary>
    public ValueTask<AppendResult> TaskOf(int index) => new(this, (short)index);

    public void Commit(CommittedBatch committed) => Decide(committed);

    public void Fail(FailedBatch failed) => Decide(failed);

    /// <summary>Tells <paramref name="waiter"/> when the batch is over. False: it is already.</summary>
    public bool TryAttach(AppendWaiter waiter)
    {
        lock (_waitersGate)
        {
            if (_outcome is not null)
                return false;
            (_waiters ??= []).Add(waiter);
            return true;
        }
    }

    /// <summary>The place of a record's length prefix in the payload.</summary>
    public int StartOf(int index) => _starts is null ? index * _stride : _starts[index];

    ValueTaskSourceStatus IValueTaskSource<AppendResult>.GetStatus(short token) => _outcome switch
    {
        null => ValueTaskSourceStatus.Pending,
        CommittedBatch => ValueTaskSourceStatus.Succeeded,
        _ => ValueTaskSourceStatus.Faulted,
    };

    AppendResult IValueTaskSource<AppendResult>.GetResult(short token) => ResultOf((ushort)token);

    public AppendResult ResultOf(int index)
    {
        var outcome = _outcome;
        Invariant.Holds(outcome is not null);
        return outcome.ResultOf(this, index);
    }

    void IValueTaskSource<AppendResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        var waiting = Continuation.Capture(continuation, state, flags);
        lock (_waitersGate)
        {
            if (_outcome is null)
            {
                (_continuations ??= []).Add(waiting);
                return;
            }
        }
        waiting.Schedule(signals);
    }

    private void Decide(BatchOutcome outcome)
    {
        lock (_waitersGate)
        {
            Invariant.Holds(_outcome is null);
            _outcome = outcome;
        }
        // The bytes of a retry that is still in the wire's hands are held by the wire's own reference.
        _buffer.Release();
        foreach (var waiting in _continuations ?? [])
            waiting.Schedule(signals);
        foreach (var waiter in _waiters ?? [])
            waiter.OnBatchOver();
        _continuations = null;
        _waiters = null;
    }

    private void Grow(int atLeast)
    {
        var larger = SharedBuffer.Rent(Math.Max(atLeast, _buffer.Capacity * 2));
        _buffer.Span[..Length].CopyTo(larger.Span);
        _buffer.Release();
        _buffer = larger;
    }

    /// <summary>The next record begins at the end of those before.</summary>
    private void NoteStart()
    {
        if (_starts is null && Length == Count * _stride)
            return;
        if (_starts is null)
        {
            _starts = new int[Math.Max(16, Count * 2)];
            for (int i = 0; i < Count; i++)
                _starts[i] = i * _stride;
        }
        else if (Count == _starts.Length)
            Array.Resize(ref _starts, Count * 2);
        _starts[Count] = Length;
    }
}

/// <summary>How a batch ended.</summary>
internal abstract class BatchOutcome
{
    public abstract AppendResult ResultOf(Batch batch, int index);
}

/// <summary>It is in the file. Without a place, it was there so long before that the place is forgotten.</summary>
internal sealed class CommittedBatch(AppendIdentity identity, (ulong ChunkIndex, uint Offset)? place, TargetFile file, long timeMs) : BatchOutcome
{
    public override AppendResult ResultOf(Batch batch, int index)
    {
        var operation = identity.Operation(batch, index);
        if (place is not var (chunkIndex, offset))
            return new AppendResult { Operation = operation, Replayed = true };
        return new AppendResult
        {
            Operation = operation,
            Position = new RecordPosition(chunkIndex, offset, index, file.FileId),
            OffsetInFile = (long)(chunkIndex * file.ChunkCapacity) + offset + FrameHeader.Size + batch.StartOf(index),
            Time = DateTimeOffset.FromUnixTimeMilliseconds(timeMs),
        };
    }
}

/// <summary>It is aborted or in doubt. Each record gets an exception of its own.</summary>
internal sealed class FailedBatch(AppendIdentity identity, bool inDoubt, Func<SemelException> cause) : BatchOutcome
{
    public override AppendResult ResultOf(Batch batch, int index) =>
        throw (inDoubt ? AppendDoubt.Of(identity.Operation(batch, index), cause()) : cause());
}

/// <summary>The words for an append in doubt.</summary>
internal static class AppendDoubt
{
    public static AppendInDoubtException Of(OperationId operation, SemelException cause) =>
        new($"It is not known whether the record {operation} is in the file: {cause.Message}", [operation], cause);

    public static AppendInDoubtException TimedOut(OperationId operation, TimeSpan timeout) =>
        new($"It is not known whether the record {operation} is in the file: no acknowledgement within {timeout.TotalSeconds:0.###} s. The writer keeps trying.", [operation]);
}
