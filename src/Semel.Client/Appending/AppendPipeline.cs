using Microsoft.Extensions.Logging;
using Semel.Client.Cluster;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Client.Appending;

/// <summary>
/// Carries a writer's records to the primary and knows what became of them. In order:
/// <list type="number">
/// <item>A record is copied into the open batch (or waits for room).</item>
/// <item>Whenever fewer batches are in flight than may be, the open batch is closed and sent: no timer, and load makes batches grow.</item>
/// <item>An acknowledgement completes the batch, makes room, and lets the next one leave.</item>
/// <item>Anything else leaves the batch in doubt: the master is asked where to go, and everything unacknowledged is sent again in order, with the same ids and bytes.</item>
/// <item>A refusal that nothing can change ends the writer.</item>
/// </list>
/// <code>
/// Sending --in doubt, refused for now--> Recovering --primary known--> Sending
///    +------------- fatal -----------------+---> Ended     (also by closing)
/// </code>
/// One thread sends at a time, so that batches leave in order; it is whichever found that something may leave.
/// </summary>
internal sealed class AppendPipeline
{
    private enum State
    {
        Sending,
        Recovering,
        Ended,
    }

    /// <summary>Why the pipeline recovers.</summary>
    private enum Doubt
    {
        /// <summary>The server does not answer, or is not the primary: the master is told.</summary>
        NoPrimary,

        /// <summary>One answer is late.</summary>
        Late,

        /// <summary>The primary could not decide it.</summary>
        Retry,

        /// <summary>The chunk takes nothing more.</summary>
        Sealed,

        /// <summary>A batch before it got lost on the way, or the primary is busy: the same primary, again.</summary>
        SendAgain,
    }

    private readonly ClientParts _parts;
    private readonly TailLocator _locator;
    private readonly TargetFile _file;
    private readonly WriterId _writer;
    private readonly uint _epoch;
    private readonly WriterOptions _options;
    private readonly int _maxBatchBytes;
    private readonly ulong _resumedAfter;
    private readonly CancellationTokenSource _ended = new();

    private readonly Lock _gate = new();

    // All of this is guarded by _gate.
    private readonly UnackedBatches _unacked = new();
    private readonly RoomQueue _room = new();
    private readonly Queue<(long Ordinal, TaskCompletionSource<bool> Done)> _flushes = new();
    private readonly Backoff _backoff;
    private readonly Patience _patience = new();
    private State _state = State.Sending;
    private Batch? _open;
    private Tail _tail;
    private Ballot _known;          // highest ballot met of _tail's chunk
    private ulong _nextSequence;
    private ulong _lastCommitted;
    private long _nextOrdinal;
    private long _buffered;
    private int _lastBatchBytes;
    private int _inFlight;
    private int _generation;        // grows when everything is sent again; answers to older sendings only count when they acknowledge
    private bool _isPumping;
    private Func<SemelException>? _end;

    public AppendPipeline(
        ClientParts parts, TailLocator locator, TargetFile file, Tail tail, Ballot known, WriterId writer, uint epoch, ulong lastSequence, WriterOptions options)
    {
        _parts = parts;
        _locator = locator;
        _file = file;
        _tail = tail;
        _known = known;
        _writer = writer;
        _epoch = epoch;
        _options = options;
        _lastCommitted = lastSequence;
        _resumedAfter = lastSequence;
        _nextSequence = lastSequence + 1;
        _backoff = new Backoff(parts.Jitter);
        _maxBatchBytes = Math.Min(options.MaxBatchBytes, ChunkLimits.MaxBatchPayload(file.ChunkCapacity));
    }

    private bool IsAnonymous => _writer == WriterId.Anonymous;

    public int MaxRecordBytes => ChunkLimits.MaxRecordLength(_file.ChunkCapacity);

    public ulong LastCommitted
    {
        get
        {
            lock (_gate)
                return IsAnonymous ? 0 : _lastCommitted;
        }
    }

    // ---- Step 1: taking records

    /// <summary>Takes a record and completes when it is in the file.</summary>
    public ValueTask<AppendResult> AppendAsync(ReadOnlyMemory<byte> record, ulong? sequence, CancellationToken cancellation)
    {
        if (Refuse(record.Length, cancellation) is { } refusal)
            return ValueTask.FromException<AppendResult>(refusal);
        if (sequence <= _resumedAfter)
            return ValueTask.FromResult(new AppendResult { Operation = new OperationId(_writer, _epoch, sequence.Value), Replayed = true });
        try
        {
            return TryTake(record, sequence, copyIfWaiting: true, out var placed, out var waiter)
                ? Wait(placed, cancellation)
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
            return TryTake(record, null, copyIfWaiting: false, out var placed, out var waiter)
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
        long bytes = 0;
        foreach (var record in records)
            bytes += RecordBatch.LengthPrefix + record.Length;
        int limit = ChunkLimits.MaxBatchPayload(_file.ChunkCapacity);
        if (bytes > limit)
            throw new RecordTooLargeException("atomic batch (with 4 bytes for each record)", bytes, limit);
        if (cancellation.IsCancellationRequested)
            throw NotTaken(cancellation);

        var batch = new Batch(_parts.Signals, 0, 0, (int)bytes);
        foreach (var record in records)
            batch.Add(record.Span);
        if (!TryTakeBatch(batch, (ulong)records.Count, out var waiter))
            await TakenAsync(waiter, cancellation);
        try
        {
            // The records share one fate: the first one's wait is everybody's.
            await Wait(new Placed(batch, 0), cancellation);
        }
        catch (AppendInDoubtException doubt)
        {
            var operations = new OperationId[records.Count];
            for (int i = 0; i < operations.Length; i++)
                operations[i] = OperationOf(new Placed(batch, i));
            throw new AppendInDoubtException(doubt.Message, operations, doubt.InnerException);
        }
        var results = new AppendResult[records.Count];
        for (int i = 0; i < results.Length; i++)
            results[i] = batch.ResultOf(i);
        return results;
    }

    /// <summary>Completes when everything that was taken before is in the file.</summary>
    public Task FlushAsync(CancellationToken cancellation)
    {
        RoomWaiter? behind = null;
        Task done;
        lock (_gate)
        {
            if (_end is not null)
                return Task.FromException(_end());
            if (_room.IsEmpty)
            {
                done = FlushTaken();
            }
            else
            {
                behind = new RoomWaiter(default, null, null, 0, _parts.Signals.Create<Placed>());
                _room.Add(behind);
                done = Task.CompletedTask;
            }
        }
        return behind is null ? done.WaitAsync(cancellation) : FlushBehindAsync(behind, cancellation);
    }

    private async Task FlushBehindAsync(RoomWaiter behind, CancellationToken cancellation)
    {
        await TakenAsync(behind, cancellation);
        await FlushAsync(cancellation);
    }

    /// <summary>Under the lock.</summary>
    private Task FlushTaken()
    {
        if (_unacked.Oldest is null && _open is null)
            return Task.CompletedTask;
        var done = _parts.Signals.Create<bool>();
        _flushes.Enqueue((_nextOrdinal - 1, done));
        return done.Task;
    }

    private Exception? Refuse(int length, CancellationToken cancellation)
    {
        if (cancellation.IsCancellationRequested)
            return NotTaken(cancellation);
        return length > MaxRecordBytes ? new RecordTooLargeException("record", length, MaxRecordBytes) : null;
    }

    private static AppendCanceledException NotTaken(CancellationToken cancellation) =>
        new("The append was cancelled before the record was taken; it is not in the file and will not be.", null, cancellation);

    private bool TryTake(ReadOnlyMemory<byte> record, ulong? sequence, bool copyIfWaiting, out Placed placed, out RoomWaiter waiter)
    {
        bool pump;
        lock (_gate)
        {
            ThrowIfEnded();
            CheckSequence(sequence, _nextSequence + _room.Records);
            if (!HasRoom(RecordBatch.Footprint(record.Length)) || !_room.IsEmpty)
            {
                waiter = new RoomWaiter(copyIfWaiting ? record.ToArray() : record, null, sequence, 1, _parts.Signals.Create<Placed>());
                _room.Add(waiter);
                placed = default;
                return false;
            }
            placed = Place(record.Span);
            pump = MaySend();
        }
        if (pump)
            Pump();
        waiter = null!;
        return true;
    }

    private bool TryTakeBatch(Batch batch, ulong records, out RoomWaiter waiter)
    {
        bool pump;
        lock (_gate)
        {
            ThrowIfEnded();
            if (!HasRoom(batch.Length) || !_room.IsEmpty)
            {
                waiter = new RoomWaiter(default, batch, null, records, _parts.Signals.Create<Placed>());
                _room.Add(waiter);
                return false;
            }
            PlaceBatch(batch);
            pump = MaySend();
        }
        if (pump)
            Pump();
        waiter = null!;
        return true;
    }

    private async ValueTask<AppendResult> AppendWhenTakenAsync(RoomWaiter waiter, CancellationToken cancellation)
    {
        var placed = await TakenAsync(waiter, cancellation);
        return await Wait(placed, cancellation);
    }

    private async ValueTask<OperationId> EnqueueWhenTakenAsync(RoomWaiter waiter, CancellationToken cancellation) =>
        OperationOf(await TakenAsync(waiter, cancellation));

    /// <summary>Waits for room, for as long as an append may take. Who gives up leaves nothing behind.</summary>
    private async Task<Placed> TakenAsync(RoomWaiter waiter, CancellationToken cancellation)
    {
        try
        {
            var limit = _options.AppendTimeout ?? Timeout.InfiniteTimeSpan;
            return await waiter.Taken.Task.WaitAsync(limit, _parts.Time, cancellation);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            lock (_gate)
            {
                if (waiter.End.Place is { } placed)
                    return placed;
                if (!waiter.IsOver)
                    _room.GiveUp(waiter);
            }
            if (e is OperationCanceledException)
                throw NotTaken(cancellation);
            throw new DeadlineExceededException(
                $"The record was not taken within {_options.AppendTimeout}: the writer's buffer of {_options.MaxBufferedBytes} bytes is full. It is not in the file and will not be.",
                inDoubt: false);
        }
    }

    private ValueTask<AppendResult> Wait(Placed placed, CancellationToken cancellation) =>
        cancellation.CanBeCanceled || _options.AppendTimeout is not null
            ? AppendWaiter.Start(_parts.Signals, placed.Batch, placed.Index, OperationOf(placed), _options.AppendTimeout, _parts.Time, cancellation)
            : placed.Batch.TaskOf(placed.Index);

    private OperationId OperationOf(Placed placed) =>
        new(_writer, _epoch, IsAnonymous ? 0 : placed.Batch.FirstSequence + (ulong)placed.Index);

    private static void CheckSequence(ulong? sequence, ulong next)
    {
        if (sequence is { } given && given != next)
            throw new ArgumentOutOfRangeException(nameof(sequence), given, $"The next sequence of this writer is {next}; {given} was given. Sequences are dense and each is given once.");
    }

    /// <summary>Under the lock.</summary>
    private void ThrowIfEnded()
    {
        if (_end is not null)
            throw _end();
    }

    /// <summary>Under the lock. One record is always taken.</summary>
    private bool HasRoom(int bytes) => _buffered == 0 || _buffered + bytes <= _options.MaxBufferedBytes;

    /// <summary>Under the lock.</summary>
    private Placed Place(ReadOnlySpan<byte> record)
    {
        if (_open is not null && !_open.Fits(record.Length, _maxBatchBytes))
            CloseOpen();
        int footprint = RecordBatch.Footprint(record.Length);
        _open ??= new Batch(_parts.Signals, _nextSequence, _nextOrdinal++, Math.Max(footprint, Math.Min(_lastBatchBytes, _maxBatchBytes)));
        int index = _open.Add(record);
        _nextSequence++;
        _buffered += footprint;
        return new Placed(_open, index);
    }

    /// <summary>Under the lock.</summary>
    private void PlaceBatch(Batch batch)
    {
        CloseOpen();
        batch.Place(_nextSequence, _nextOrdinal++);
        _nextSequence += (ulong)batch.Count;
        _buffered += batch.Length;
        _unacked.Add(batch);
    }

    /// <summary>Under the lock.</summary>
    private void CloseOpen()
    {
        if (_open is null)
            return;
        _lastBatchBytes = _open.Length;
        _unacked.Add(_open);
        _open = null;
    }

    /// <summary>Under the lock: takes what waits, as far as there is room.</summary>
    private void TakeWaiting()
    {
        while (_room.Peek() is { } waiter)
        {
            if (!waiter.IsFlush && !HasRoom(waiter.Batch?.Length ?? RecordBatch.Footprint(waiter.Record.Length)))
                return;
            _room.Take();
            if (waiter.IsFlush)
            {
                Taken(waiter, default);
            }
            else if (waiter.Sequence is { } given && given != _nextSequence)
            {
                NotTaken(waiter, new ArgumentOutOfRangeException(
                    "sequence", given, $"The next sequence of this writer is {_nextSequence}; {given} was given, and the append before it was given up."));
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

    private void Taken(RoomWaiter waiter, Placed placed)
    {
        waiter.End = (placed, null);
        _parts.Signals.Set(waiter.Taken, placed);
    }

    private void NotTaken(RoomWaiter waiter, Exception failure)
    {
        waiter.End = (null, failure);
        _parts.Signals.Fail(waiter.Taken, failure);
    }

    // ---- Step 2: sending

    /// <summary>Under the lock.</summary>
    private bool MaySend() =>
        !_isPumping && _state == State.Sending && _inFlight < _options.MaxInFlightBatches && (_open is not null || _unacked.HasUnsent);

    /// <summary>Sends what may leave, in order, unless another thread is at it.</summary>
    private void Pump()
    {
        while (true)
        {
            Batch batch;
            Payload payload;
            Tail tail;
            Ballot known;
            int generation;
            ulong acknowledged;
            TimeSpan timeout;
            lock (_gate)
            {
                if (!MaySend())
                    return;
                if (!_unacked.HasUnsent)
                    CloseOpen();
                batch = _unacked.TakeUnsent()!;
                batch.Attempts++;
                payload = batch.RetainPayload();
                (tail, known, generation, timeout) = (_tail, _known, _generation, _patience.Timeout);
                acknowledged = _unacked.Oldest!.FirstSequence - 1;
                _inFlight++;
                _isPumping = true;
            }
            batch.Sum(payload);
            var call = tail.Primary.CallAsync(MessageKind.Append, RequestOf(batch, tail, known), payload, timeout, _ended.Token);
            lock (_gate)
                _isPumping = false;
            _ = AwaitAnswerAsync(batch, call, tail, generation, acknowledged);
        }
    }

    private AppendRequest RequestOf(Batch batch, Tail tail, Ballot known) => new()
    {
        Handle = tail.Handle.Value,
        KnownBallot = known.Value,
        Writer = _writer.Value,
        Epoch = _epoch,
        FirstSequence = IsAnonymous ? 0 : batch.FirstSequence,
        RecordCount = (uint)batch.Count,
        PayloadCrc = batch.Crc,
    };

    /// <param name="batch">What was sent.</param>
    /// <param name="call">To be awaited.</param>
    /// <param name="tail">Where it was sent.</param>
    /// <param name="generation">Of the sending.</param>
    /// <param name="acknowledged">The writer's last sequence that was acknowledged, with all before it, when the batch was sent.</param>
    private async Task AwaitAnswerAsync(Batch batch, ValueTask<CallResult> call, Tail tail, int generation, ulong acknowledged)
    {
        try
        {
            long sent = _parts.Time.GetTimestamp();
            var result = await call;
            result.Payload.Release();
            if (result.IsAnswered)
                OnAnswer(batch, result.Answer<AppendReply>(), tail, generation, acknowledged, _parts.Time.GetElapsedTime(sent));
            else
                OnSilence(result, generation);
        }
        catch (Exception e) when (e is InvariantViolationException or ObjectDisposedException)
        {
            EndByFault(e);
        }
        Pump();
    }

    // ---- Step 3: answers

    private void OnAnswer(Batch batch, AppendReply reply, Tail tail, int generation, ulong acknowledged, TimeSpan after)
    {
        var ballot = new Ballot(reply.Ballot);
        switch (reply.Status)
        {
            case AppendStatus.Committed:
                OnCommitted(batch, reply, ballot, tail, generation, after, (reply.ChunkIndex, reply.Offset));
                break;
            case AppendStatus.AlreadyCommitted:
                OnCommitted(batch, reply, ballot, tail, generation, after, null);
                break;
            case AppendStatus.Sealed:
                Recover(Doubt.Sealed, "SEALED", generation, ballot);
                break;
            case AppendStatus.Busy:
                Recover(Doubt.SendAgain, "BUSY", generation, ballot);
                break;
            case AppendStatus.NotPrimary:
                Recover(Doubt.NoPrimary, "NOT_PRIMARY", generation, ballot);
                break;
            case AppendStatus.OutOfOrder:
                OnOutOfOrder(batch, reply, ballot, generation, acknowledged);
                break;
            case AppendStatus.UnknownWriter:
                if (IsDefinite(ballot, generation))
                {
                    EndBy(batch, generation, () => new WriterExpiredException(
                        $"The file {_file.Path} has forgotten writer {_writer} (idle for too long). Open the writer again. {reply.Detail}".TrimEnd()));
                }
                else
                {
                    Recover(Doubt.NoPrimary, "UNKNOWN_WRITER of an older ballot", generation, ballot);
                }
                break;
            case AppendStatus.Fenced:
                EndBy(batch, generation, () => new WriterFencedException(
                    $"Writer {_writer} of {_file.Path} was opened again by somebody else; this incarnation (epoch {_epoch}) appends no more. Let only one process use a writer name."));
                break;
            case AppendStatus.OperationIdReused:
                EndBy(batch, generation, () => new OperationIdReusedException(
                    $"Sequence {batch.FirstSequence} of writer {_writer} in {_file.Path} was used before for other bytes. Give a retry the same bytes."));
                break;
            case AppendStatus.TooBig:
                EndBy(batch, generation, () => new RecordTooLargeException("batch", batch.Length, ChunkLimits.MaxBatchPayload(_file.ChunkCapacity)));
                break;
            case AppendStatus.TooManyWriters:
                EndBy(batch, generation, () => new TooManyWritersException($"{_file.Path} has as many writers as it may. Reuse writer names. {reply.Detail}".TrimEnd()));
                break;
            case AppendStatus.Refused:
                EndBy(batch, generation, () => new AppendRefusedException(
                    $"The primary {tail.Primary.Address} refused a batch of writer {_writer} in {_file.Path}: {reply.Detail}"));
                break;
            case AppendStatus.Unspecified:
            case AppendStatus.Retry:
            default:
                Recover(Doubt.Retry, reply.Status.ToString(), generation, ballot);
                break;
        }
    }

    /// <summary>True as of any sending: what is committed stays so.</summary>
    private void OnCommitted(
        Batch batch, AppendReply reply, Ballot ballot, Tail tail, int generation, TimeSpan after, (ulong ChunkIndex, uint Offset)? place)
    {
        lock (_gate)
        {
            if (_state == State.Ended)
                return;
            if (generation == _generation)
            {
                _inFlight--;
                _patience.Answered(after);
            }
            if (tail.Handle == _tail.Handle)
                Meet(ballot);
            if (batch.IsAcknowledged)
                return;
            batch.IsAcknowledged = true;
            _backoff.Reset();
            _buffered -= batch.Length;
            _lastCommitted = Math.Max(_lastCommitted, batch.LastSequence);
            _unacked.DropAcknowledged();
            long oldest = _unacked.Oldest?.Ordinal ?? _open?.Ordinal ?? long.MaxValue;
            while (_flushes.TryPeek(out var flush) && flush.Ordinal < oldest)
                _parts.Signals.Set(_flushes.Dequeue().Done, true);
            TakeWaiting();
        }
        batch.Commit(new CommittedBatch(_writer, _epoch, place, _file.ChunkCapacity, reply.TimeMs));
    }

    /// <summary>The batches before it got lost on the way and will be sent again; unless the cluster forgot what it had acknowledged before that.</summary>
    private void OnOutOfOrder(Batch batch, AppendReply reply, Ballot ballot, int generation, ulong acknowledged)
    {
        bool isDefinite = IsDefinite(ballot, generation);
        if (isDefinite && reply.LastSequence < acknowledged)
        {
            EndBy(batch, generation, () => new AcknowledgedRecordsLostException(
                $"{_file.Path} ends at sequence {reply.LastSequence} of writer {_writer}, but {acknowledged} was acknowledged. Replicas were lost or replaced by older ones; ask the operator."));
            return;
        }
        Recover(isDefinite ? Doubt.SendAgain : Doubt.NoPrimary, "OUT_OF_ORDER", generation, ballot);
    }

    /// <summary>True when the answer comes from a ballot that is not older than any other that was met: not from a primary that was replaced.</summary>
    private bool IsDefinite(Ballot ballot, int generation)
    {
        lock (_gate)
            return generation == _generation && ballot >= _known;
    }

    /// <summary>Under the lock.</summary>
    private void Meet(Ballot ballot)
    {
        if (ballot > _known)
            _known = ballot;
    }

    private void OnSilence(CallResult result, int generation)
    {
        bool isSuspect;
        lock (_gate)
        {
            if (generation != _generation || _state != State.Sending)
                return;
            // A connection that broke says more than one answer that is late.
            if (result.Outcome == CallOutcome.TimedOut)
                _patience.Silent();
            isSuspect = result.Outcome != CallOutcome.TimedOut || _patience.Silences >= 2;
        }
        Recover(isSuspect ? Doubt.NoPrimary : Doubt.Late, result.Detail ?? result.Outcome.ToString(), generation, Ballot.None);
    }

    // ---- Step 4: in doubt

    private void Recover(Doubt doubt, string reason, int generation, Ballot ballot)
    {
        Tail suspect;
        lock (_gate)
        {
            if (generation != _generation || _state != State.Sending)
                return;
            Meet(ballot);
            _state = State.Recovering;
            _generation++;
            _inFlight = 0;
            suspect = _tail;
        }
        _parts.Logger.AppendsSentAgain(_writer.Value, _file.Path, reason, suspect.Handle.ToString());
        _ = RecoverAsync(doubt, reason);
    }

    private async Task RecoverAsync(Doubt doubt, string reason)
    {
        try
        {
            // A roll-over is no trouble: the first look for the next chunk is at once.
            var (wait, attempts) = NextWait();
            if (doubt != Doubt.Sealed || attempts > 1)
                await Task.Delay(wait, _parts.Time, _ended.Token);

            var tail = doubt == Doubt.SendAgain ? _tail : await FindTailAsync(doubt, reason);
            if (tail is null)
                return;
            lock (_gate)
            {
                if (_state != State.Recovering)
                    return;
                if (tail.Handle != _tail.Handle)
                    _known = Ballot.None;
                _tail = tail;
                Meet(Ballot.OfVersion(tail.Version));
                _unacked.Rewind();
                _state = State.Sending;
            }
            Pump();
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
        }
        catch (Exception e) when (e is InvariantViolationException or ObjectDisposedException)
        {
            EndByFault(e);
        }
    }

    /// <summary>Asks the master until it names a primary. Null: the writer has ended.</summary>
    private async Task<Tail?> FindTailAsync(Doubt doubt, string reason)
    {
        while (true)
        {
            var answer = await _locator.TryFindAsync(_file, doubt == Doubt.NoPrimary ? _tail : null, _ended.Token);
            _ended.Token.ThrowIfCancellationRequested();
            if (answer.Fatal is { } fatal)
            {
                End(() => fatal, refused: null);
                return null;
            }
            if (answer.Tail is { } tail && tail.ChunkIndex >= _tail.ChunkIndex)
                return tail;
            var (wait, attempts) = NextWait();
            if (attempts == 5)
                _parts.Logger.NoPrimary(_writer.Value, _file.Path, attempts, $"{reason}; {answer.Reason}");
            await Task.Delay(wait, _parts.Time, _ended.Token);
        }
    }

    private (TimeSpan Wait, int Attempts) NextWait()
    {
        lock (_gate)
            return (_backoff.Next(), _backoff.Attempts);
    }

    // ---- Step 5: the end

    /// <summary>Ends the writer because of an answer to the last sending of <paramref name="batch"/>.</summary>
    private void EndBy(Batch batch, int generation, Func<SemelException> cause)
    {
        lock (_gate)
        {
            if (generation != _generation || batch.IsAcknowledged)
                return;
        }
        End(cause, batch);
    }

    /// <summary>A bug, or the client was disposed before its writers.</summary>
    private void EndByFault(Exception fault) => End(
        fault is ObjectDisposedException
            ? () => new WriterClosedException($"The client of the writer of {_file.Path} was disposed. Dispose the writers first.")
            : () => new AppendRefusedException(fault.Message),
        refused: null);

    /// <summary>
    /// Ends the writer. What was never sent is aborted; what was sent is in doubt, except when the only sending of <paramref name="refused"/> was refused:
    /// then that batch, and what follows it in the writer's sequence, never gets into the file.
    /// </summary>
    public void End(Func<SemelException> cause, Batch? refused)
    {
        var aborted = new FailedBatch(_writer, _epoch, inDoubt: false, cause);
        var doubtful = new FailedBatch(_writer, _epoch, inDoubt: true, cause);
        Batch? oldest;
        Batch? open;
        bool anyInDoubt = false;
        lock (_gate)
        {
            if (_state == State.Ended)
                return;
            _state = State.Ended;
            _end = cause;
            oldest = _unacked.Oldest;
            open = _open;
            _open = null;
            for (var batch = oldest; batch is not null; batch = batch.Next)
                anyInDoubt |= !batch.IsAcknowledged && batch.Attempts > 0;
            while (_room.Peek() is { } waiter)
            {
                _room.Take();
                NotTaken(waiter, cause());
            }
            while (_flushes.TryDequeue(out var flush))
                _parts.Signals.Fail(flush.Done, anyInDoubt
                    ? new AppendInDoubtException($"Not everything that was flushed is known to be in the file: {cause().Message}", [], cause())
                    : cause());
        }
        _parts.Logger.WriterEnded(_writer.Value, _file.Path, cause().Message);
        bool isRefused = false;
        for (var batch = oldest; batch is not null; batch = batch.Next)
        {
            isRefused |= batch == refused && batch.Attempts == 1;
            if (!batch.IsAcknowledged)
                batch.Fail(batch.Attempts == 0 || (isRefused && (batch == refused || !IsAnonymous)) ? aborted : doubtful);
        }
        open?.Fail(aborted);
        _ended.Cancel();
    }

    /// <summary>Flushes for at most <paramref name="bound"/>, then ends the writer.</summary>
    public async Task CloseAsync(TimeSpan bound)
    {
        try
        {
            await FlushAsync(CancellationToken.None).WaitAsync(bound, _parts.Time);
        }
        catch (Exception e) when (e is SemelException or TimeoutException)
        {
        }
        long left;
        lock (_gate)
            left = _state == State.Ended ? 0 : _buffered;
        if (left > 0)
            _parts.Logger.ClosedInDoubt(_writer.Value, _file.Path, left);
        End(() => new WriterClosedException($"The writer of {_file.Path} was closed."), refused: null);
    }
}
