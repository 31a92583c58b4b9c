using Semel.Client.Cluster;
using Semel.Protocol.Frames;

namespace Semel.Client.Appending;

/// <summary>
/// Takes records in: numbers them, copies them into the open batch, and lets them wait in order while the buffer is full. Guarded by the pipeline's lock.
/// </summary>
internal sealed class RecordIntake(Signals signals, UnackedBatches closed, long maxBufferedBytes, int maxBatchBytes, ulong firstSequence)
{
    private readonly RoomQueue _room = new();
    private Batch? _open;
    private ulong _nextSequence = firstSequence;
    private long _nextOrdinal;
    private int _lastBatchBytes;
    private int _holds;

    /// <summary>Bytes that are taken and not acknowledged.</summary>
    public long BufferedBytes { get; private set; }

    /// <summary>Of the batch that more records may join; 0: there is none.</summary>
    public int OpenBytes => _open?.Length ?? 0;

    /// <summary>The batch that was begun last.</summary>
    public long LastOrdinal => _nextOrdinal - 1;

    /// <summary>The oldest batch that is not over.</summary>
    public long? OldestOrdinal => closed.Oldest?.Ordinal ?? _open?.Ordinal;

    /// <summary>Takes a record, or lets it wait.</summary>
    /// <param name="record">At most a quarter of a chunk.</param>
    /// <param name="sequence">What the caller says that its sequence is.</param>
    /// <param name="copyIfWaiting">Its bytes may change once the caller has it back.</param>
    /// <param name="placed">Where it went.</param>
    /// <param name="waiter">What waits for room in its place.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not the next sequence.</exception>
    public bool TryTake(ReadOnlyMemory<byte> record, ulong? sequence, bool copyIfWaiting, out Placed placed, out RoomWaiter waiter)
    {
        if (sequence is { } given && given != _nextSequence + _room.Records)
            throw NotNext(given, _nextSequence + _room.Records);
        if (HasRoom(RecordBatch.Footprint(record.Length)) && _room.IsEmpty)
        {
            placed = Place(record.Span);
            waiter = null!;
            return true;
        }
        waiter = new RoomWaiter(copyIfWaiting ? record.ToArray() : record, null, sequence, 1, signals.Create<Placed>());
        _room.Add(waiter);
        placed = default;
        return false;
    }

    /// <summary>Takes a batch that was filled apart, or lets it wait.</summary>
    public bool TryTakeBatch(Batch batch, out RoomWaiter waiter)
    {
        if (HasRoom(batch.Length) && _room.IsEmpty)
        {
            PlaceBatch(batch);
            waiter = null!;
            return true;
        }
        waiter = new RoomWaiter(default, batch, null, (ulong)batch.Count, signals.Create<Placed>());
        _room.Add(waiter);
        return false;
    }

    /// <summary>Takes nothing until <see cref="Release"/> was called as often: whatever comes waits, in order.</summary>
    public void Hold()
    {
        if (_holds == RoomQueue.MostWaiting)
            throw new InvalidOperationException($"{_holds} records are being compared already. Await the appends.");
        _holds++;
    }

    /// <inheritdoc cref="Hold"/>
    public void Release()
    {
        _holds--;
        Free(0);
    }

    /// <summary>Somebody who waits until all that wait now are taken; null when nobody waits.</summary>
    public RoomWaiter? WaitBehind()
    {
        if (_room.IsEmpty && _holds == 0)
            return null;
        var waiter = new RoomWaiter(default, null, null, 0, signals.Create<Placed>());
        _room.Add(waiter);
        return waiter;
    }

    public void GiveUp(RoomWaiter waiter) => _room.GiveUp(waiter);

    /// <summary>Nothing more joins the open batch.</summary>
    public void CloseOpen()
    {
        if (_open is null)
            return;
        _lastBatchBytes = _open.Length;
        closed.Add(_open);
        _open = null;
    }

    /// <summary>Bytes were acknowledged: takes what waits, as far as there is room.</summary>
    public void Free(int bytes)
    {
        BufferedBytes -= bytes;
        while (_holds == 0 && _room.Peek() is { } waiter && (waiter.IsFlush || HasRoom(waiter.Batch?.Length ?? RecordBatch.Footprint(waiter.Record.Length))))
        {
            _room.Take();
            if (waiter.IsFlush)
            {
                Taken(waiter, default);
            }
            else if (waiter.Sequence is { } given && given != _nextSequence)
            {
                NotTaken(waiter, NotNext(given, _nextSequence));
            }
            else if (waiter.Batch is { } batch)
            {
                PlaceBatch(batch);
                Taken(waiter, new Placed(batch, 0));
            }
            else
            {
                Taken(waiter, Place(waiter.Record.Span));
            }
        }
    }

    /// <summary>Nothing more is taken. What waits fails.</summary>
    /// <returns>The open batch, which nobody will send.</returns>
    public Batch? End(Func<SemelException> cause)
    {
        while (_room.Peek() is { } waiter)
        {
            _room.Take();
            NotTaken(waiter, cause());
        }
        var open = _open;
        _open = null;
        return open;
    }

    /// <summary>One record is always taken.</summary>
    private bool HasRoom(int bytes) => _holds == 0 && (BufferedBytes == 0 || BufferedBytes + bytes <= maxBufferedBytes);

    private Placed Place(ReadOnlySpan<byte> record)
    {
        if (_open is not null && !_open.Fits(record.Length, maxBatchBytes))
            CloseOpen();
        int footprint = RecordBatch.Footprint(record.Length);
        _open ??= new Batch(signals, _nextSequence, _nextOrdinal++, Math.Max(footprint, Math.Min(_lastBatchBytes, maxBatchBytes)));
        int index = _open.Add(record);
        _nextSequence++;
        BufferedBytes += footprint;
        return new Placed(_open, index);
    }

    private void PlaceBatch(Batch batch)
    {
        CloseOpen();
        batch.Place(_nextSequence, _nextOrdinal++);
        _nextSequence += (ulong)batch.Count;
        BufferedBytes += batch.Length;
        closed.Add(batch);
    }

    private void Taken(RoomWaiter waiter, Placed placed)
    {
        waiter.End = (placed, null);
        signals.Set(waiter.Taken, placed);
    }

    private void NotTaken(RoomWaiter waiter, Exception failure)
    {
        waiter.End = (null, failure);
        signals.Fail(waiter.Taken, failure);
    }

    private static ArgumentOutOfRangeException NotNext(ulong given, ulong next) =>
        new("sequence", given, $"The next sequence of this writer is {next}; {given} was given. Sequences are dense and each is given once.");
}
