using System.Diagnostics.CodeAnalysis;
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
/// <item>The open batch is closed and sent when nothing is in flight, so that a lone record never waits. Beside others it leaves when it is long enough to be worth a
/// message of its own; until then it grows. There is no timer.</item>
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
    private readonly AppendIdentity _identity;
    private readonly int _maxInFlight;
    private readonly int _worthAMessage;
    private readonly CancellationTokenSource _ended = new();

    private readonly Lock _gate = new();

    // All of this is guarded by _gate.
    private readonly UnackedBatches _unacked = new();
    private readonly RecordIntake _intake;
    private readonly Queue<(long Ordinal, TaskCompletionSource<bool> Done)> _flushes = new();
    private readonly Backoff _backoff;
    private readonly Patience _patience = new();
    private State _state = State.Sending;
    private Tail _tail;
    private Ballot _known;          // highest ballot met of _tail's chunk
    private ulong _lastCommitted;
    private int _inFlight;
    private int _generation;        // grows when everything is sent again; answers to older sendings only count when they acknowledge
    private bool _isPumping;
    private Func<SemelException>? _end;

    public AppendPipeline(
        ClientParts parts, TailLocator locator, TargetFile file, Tail tail, Ballot known, AppendIdentity identity, ulong lastSequence, WriterOptions options)
    {
        _parts = parts;
        _locator = locator;
        _file = file;
        _tail = tail;
        _known = known;
        _identity = identity;
        _maxInFlight = options.MaxInFlightBatches;
        _worthAMessage = options.BytesWorthAMessage;
        _lastCommitted = lastSequence;
        _backoff = new Backoff(parts.Jitter);
        int maxBatchBytes = Math.Min(options.MaxBatchBytes, ChunkLimits.MaxBatchPayload(file.ChunkCapacity));
        _intake = new RecordIntake(parts.Signals, _unacked, options.MaxBufferedBytes, maxBatchBytes, lastSequence + 1);
    }

    public ulong LastCommitted
    {
        get
        {
            lock (_gate)
                return _identity.IsAnonymous ? 0 : _lastCommitted;
        }
    }

    /// <summary>Where it appends now.</summary>
    public Tail Tail
    {
        get
        {
            lock (_gate)
                return _tail;
        }
    }

    /// <summary>The highest ballot met of the tail's chunk.</summary>
    public Ballot KnownBallot
    {
        get
        {
            lock (_gate)
                return _known;
        }
    }

    // ---- Step 1: taking records

    /// <inheritdoc cref="RecordIntake.TryTake"/>
    /// <exception cref="SemelException">The writer has ended.</exception>
    public bool TryTake(ReadOnlyMemory<byte> record, ulong? sequence, bool copyIfWaiting, out Placed placed, out RoomWaiter waiter)
    {
        bool isTaken;
        bool pump;
        lock (_gate)
        {
            ThrowIfEnded();
            isTaken = _intake.TryTake(record, sequence, copyIfWaiting, out placed, out waiter);
            pump = MaySend();
        }
        if (pump)
            Pump();
        return isTaken;
    }

    /// <inheritdoc cref="RecordIntake.TryTakeBatch"/>
    /// <exception cref="SemelException">The writer has ended.</exception>
    public bool TryTakeBatch(Batch batch, out RoomWaiter waiter)
    {
        bool isTaken;
        lock (_gate)
        {
            ThrowIfEnded();
            isTaken = _intake.TryTakeBatch(batch, out waiter);
        }
        Pump();
        return isTaken;
    }

    /// <summary>Stops waiting for room. Where it went, when it was taken meanwhile.</summary>
    public Placed? GiveUp(RoomWaiter waiter)
    {
        lock (_gate)
        {
            if (!waiter.IsOver)
                _intake.GiveUp(waiter);
            return waiter.End.Place;
        }
    }

    /// <summary>Takes nothing new until <see cref="Release"/>: what is repeated is being compared with the file, and if it differs, nothing new gets there.</summary>
    /// <exception cref="SemelException">The writer has ended.</exception>
    public void Hold()
    {
        lock (_gate)
        {
            ThrowIfEnded();
            _intake.Hold();
        }
    }

    /// <inheritdoc cref="Hold"/>
    public void Release()
    {
        lock (_gate)
            _intake.Release();
        Pump();
    }

    /// <summary>What completes when everything that was taken is in the file; or, if some still wait for room, what waits behind them.</summary>
    public bool TryFlush([NotNullWhen(true)] out Task? done, [NotNullWhen(false)] out RoomWaiter? behind)
    {
        lock (_gate)
        {
            done = null;
            behind = null;
            if (_end is not null)
                done = Task.FromException(_end());
            else if (_intake.WaitBehind() is { } waiter)
                behind = waiter;
            else if (_intake.OldestOrdinal is null)
                done = Task.CompletedTask;
            else
            {
                var source = _parts.Signals.Create<bool>();
                _flushes.Enqueue((_intake.LastOrdinal, source));
                done = source.Task;
            }
        }
        return done is not null;
    }

    /// <summary>Under the lock.</summary>
    private void ThrowIfEnded()
    {
        if (_end is not null)
            throw _end();
    }

    // ---- Step 2: sending

    /// <summary>Under the lock.</summary>
    private bool MaySend() => !_isPumping && _state == State.Sending && _inFlight < _maxInFlight && (_unacked.HasUnsent || OpenMayLeave());

    /// <summary>What cannot grow any more need not wait; see step 2. Under the lock.</summary>
    private bool OpenMayLeave() => _intake.OpenBytes >= (_inFlight == 0 ? 1 : _worthAMessage);

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
                    _intake.CloseOpen();
                batch = _unacked.TakeUnsent()!;
                batch.Attempts++;
                payload = batch.RetainPayload();
                (tail, known, generation, timeout) = (_tail, _known, _generation, _patience.Timeout);
                acknowledged = _unacked.Oldest!.FirstSequence - 1;
                _inFlight++;
                _isPumping = true;
            }
            payload = batch.Summed(payload);
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
        Writer = _identity.Writer.Value,
        Epoch = _identity.Epoch,
        FirstSequence = _identity.IsAnonymous ? 0 : batch.FirstSequence,
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
            case AppendStatus.UnknownWriter when !IsDefinite(ballot, generation):
                Recover(Doubt.NoPrimary, "UNKNOWN_WRITER of an older ballot", generation, ballot);
                break;
            case AppendStatus.UnknownWriter:
            case AppendStatus.Fenced:
            case AppendStatus.OperationIdReused:
            case AppendStatus.TooBig:
            case AppendStatus.TooManyWriters:
            case AppendStatus.Refused:
                EndBy(batch, generation, AppendRefusal.CauseOf(reply, _file, _identity.Writer, _identity.Epoch, batch.Length)!, reply.LastSequence);
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
            _lastCommitted = Math.Max(_lastCommitted, batch.LastSequence);
            _unacked.DropAcknowledged();
            long oldest = _intake.OldestOrdinal ?? long.MaxValue;
            while (_flushes.TryPeek(out var flush) && flush.Ordinal < oldest)
                _parts.Signals.Set(_flushes.Dequeue().Done, true);
            _intake.Free(batch.Length);
        }
        batch.Commit(new CommittedBatch(_identity, place, _file, reply.TimeMs));
    }

    /// <summary>The batches before it got lost on the way and will be sent again; unless the cluster forgot what it had acknowledged before that.</summary>
    private void OnOutOfOrder(Batch batch, AppendReply reply, Ballot ballot, int generation, ulong acknowledged)
    {
        bool isDefinite = IsDefinite(ballot, generation);
        if (isDefinite && reply.LastSequence < acknowledged)
        {
            EndBy(batch, generation, () => new AcknowledgedRecordsLostException(
                $"{_file.Path} ends at sequence {reply.LastSequence} of writer {_identity.Writer}, but {acknowledged} was acknowledged. Replicas were lost or replaced by older ones; ask the operator."));
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
        _parts.Logger.AppendsSentAgain(_identity.Writer.Value, _file.Path, reason, suspect.Handle.ToString());
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
                _parts.Logger.NoPrimary(_identity.Writer.Value, _file.Path, attempts, $"{reason}; {answer.Reason}");
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
    /// <param name="batch">What was refused.</param>
    /// <param name="generation">Of its sending.</param>
    /// <param name="cause">Why.</param>
    /// <param name="lastSequence">The writer's last one at the primary: a batch that is not beyond it may have got there by an earlier copy of the same message.</param>
    private void EndBy(Batch batch, int generation, Func<SemelException> cause, ulong lastSequence = 0)
    {
        lock (_gate)
        {
            if (generation != _generation || batch.IsAcknowledged)
                return;
        }
        End(cause, _identity.IsAnonymous || batch.FirstSequence > lastSequence ? batch : null);
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
        var aborted = new FailedBatch(_identity, inDoubt: false, cause);
        var doubtful = new FailedBatch(_identity, inDoubt: true, cause);
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
            open = _intake.End(cause);
            for (var batch = oldest; batch is not null; batch = batch.Next)
                anyInDoubt |= !batch.IsAcknowledged && batch.Attempts > 0;
            while (_flushes.TryDequeue(out var flush))
                _parts.Signals.Fail(flush.Done, anyInDoubt
                    ? new AppendInDoubtException($"Not everything that was flushed is known to be in the file: {cause().Message}", [], cause())
                    : cause());
        }
        if (cause() is WriterClosedException)
            _parts.Logger.WriterClosed(_identity.Writer.Value, _file.Path);
        else
            _parts.Logger.WriterEnded(_identity.Writer.Value, _file.Path, cause().Message);
        bool isRefused = false;
        for (var batch = oldest; batch is not null; batch = batch.Next)
        {
            isRefused |= batch == refused && batch.Attempts == 1;
            if (!batch.IsAcknowledged)
                batch.Fail(batch.Attempts == 0 || (isRefused && (batch == refused || !_identity.IsAnonymous)) ? aborted : doubtful);
        }
        open?.Fail(aborted);
        _ended.Cancel();
    }

    /// <summary>Ends the writer as closed.</summary>
    public void Close()
    {
        long left;
        lock (_gate)
            left = _state == State.Ended ? 0 : _intake.BufferedBytes;
        if (left > 0)
            _parts.Logger.ClosedInDoubt(_identity.Writer.Value, _file.Path, left);
        End(() => new WriterClosedException($"The writer of {_file.Path} was closed."), refused: null);
    }
}
