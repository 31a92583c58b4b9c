using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Replicas;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Storage.Disks;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// The primary of a chunk in one ballot: sequences appends, has every member hold them, and raises the watermark to what all of them
/// hold. All calls come from the replica's loop.
/// <code>
/// Recovering --every member holds our whole log--> Active --abort, step down, crash--> Ended
/// </code>
/// One append: <see cref="Take"/> has it judged (<see cref="AppendJudge"/>) and refuses, answers, or sequences it (1: a frame in the group; 2: the group goes to the disk
/// and to every secondary at once, <see cref="EndOfBatch"/>; 3: each votes when its flush is done; 4: the watermark passes the frame,
/// <see cref="Advance"/>, and the client is answered. The secondaries learn the watermark with the next group).
/// </summary>
internal sealed class Primary
{
    /// <summary>Frames beyond the watermark; more appends wait.</summary>
    private const uint MaxUncommittedBytes = 8 << 20;

    /// <summary>Most that one message carries to a secondary that has to catch up.</summary>
    private const int CatchUpBytes = 8 << 20;

    /// <summary>So many times <see cref="ChunkServerOptions.VoteTimeout"/> may a server that answers for other chunks, or is known to be slow, owe a vote.</summary>
    private const int PatienceWithTheSlow = 10;

    /// <summary>So many ticks in a row may come late before the others are blamed all the same.</summary>
    private const int MostLateTicks = 5;

    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan PulseWindow = TimeSpan.FromSeconds(2);

    private readonly Replica _replica;
    private readonly ReplicaServices _services;
    private readonly AppendJudge _judge;
    private readonly WriterEviction _eviction;
    private readonly ServerAddress[] _members;
    private readonly MemberStream[] _secondaries;
    private readonly int _minMembers;
    private readonly Queue<Waiter> _waiters = new();        // in the order of their frames; bounded by MaxUncommittedBytes
    private readonly List<Waiter> _attached = [];           // repeated calls that share the fate of a frame in flight
    private readonly Queue<IncomingCall> _parked = new();   // bounded by the replica's queue limit
    private readonly CancellationTokenSource _ended = new();
    private readonly RecentGroups _recent = new();
    private FrameGroup _group = new();                      // being filled
    private ITimer? _timer;
    private long? _timerDue;                                // timestamp
    private int _lateTicks;                                 // in a row
    private bool _advanceDue;                               // a write to the page cache counted as a vote
    private bool _seal;
    private bool _sealReported;

    public Primary(
        Replica replica, ReplicaServices services, Ballot ballot, ServerAddress[] members, int minMembers, bool seal, long leaseUntil)
    {
        _replica = replica;
        _services = services;
        _judge = new AppendJudge(replica, services.Options);
        _eviction = new WriterEviction(this, replica, services, _ended.Token);
        _members = members;
        _minMembers = minMembers;
        _seal = seal;
        Ballot = ballot;
        LeaseUntil = leaseUntil;
        ulong self = services.Self().Value;
        _secondaries = [.. members.Where(m => m.ServerId != self).Select(m => new MemberStream(m, services.Wire.LinkTo(m.Address), services.Peers.Of(m.ServerId)))];
        Invariant.Holds(_secondaries.Length == members.Length - 1);
    }

    public Ballot Ballot { get; }
    public bool IsActive { get; private set; }

    /// <summary>Timestamp at which the lease ends.</summary>
    public long LeaseUntil { get; private set; }

    public bool LeaseIsOver => _services.Time.GetTimestamp() > LeaseUntil;

    /// <summary>Not null: the replica must abort what is in flight, for this reason.</summary>
    public string? AbortReason { get; private set; }

    public Primary NextAttempt(Ballot ballot) => new(_replica, _services, ballot, _members, _minMembers, seal: true, LeaseUntil);

    public void Renew(TimeSpan duration) => LeaseUntil = Math.Max(LeaseUntil, In(duration));

    /// <summary>Shows every secondary our log: what was in doubt in it is kept, for nobody can know that it was not acknowledged.</summary>
    public void Begin()
    {
        foreach (var member in _secondaries)
            Send(member);
        Advance();
        ArmTimer(WatchInterval);
    }

    /// <summary>Nothing more is answered, sent or counted. Whoever waits is left in doubt.</summary>
    public void End()
    {
        IsActive = false;
        _ended.Cancel();
        _timer?.Dispose();
        while (_waiters.TryDequeue(out var waiter))
            waiter.LeaveInDoubt(Ballot);
        foreach (var waiter in _attached)
            waiter.LeaveInDoubt(Ballot);
        _attached.Clear();
        while (_parked.TryDequeue(out var call))
            Answer(call, AppendStatus.Retry);
        _group.Clear();
        _recent.Clear();
    }

    /// <summary>The writer's last committed sequence; 0: none.</summary>
    public ulong CommittedSequenceOf(WriterEntry entry) => _judge.CommittedSequenceOf(entry);

    public void SealSoon()
    {
        _seal = true;
        SealIfWanted();
    }

    // ---- Step 1: refuse, answer from the table, or sequence

    public void Take(IncomingCall call)
    {
        if (!IsActive)
            Answer(call, AppendStatus.Retry);
        else if (_parked.Count > 0)
            _parked.Enqueue(call);
        else if (!TrySettle(call))
            _parked.Enqueue(call);
    }

    /// <summary>False: there is no room at the moment; try again when the watermark has moved.</summary>
    private bool TrySettle(IncomingCall call) => call.Header switch
    {
        AppendRequest append => TryAppend(call, append),
        InitWriterRequest init => TryInit(call, init),
        _ => TryEvict(call, (EvictWriterRequest)call.Header),
    };

    private bool TryAppend(IncomingCall call, AppendRequest request)
    {
        var verdict = _judge.OfAppend(request, call.Payload, takesNothingMore: _seal || _replica.Log.EndsInSeal);
        if (verdict.Kind == VerdictKind.Answer)
        {
            Answer(call, verdict);
            return true;
        }
        if (verdict.Kind == VerdictKind.ShareFate)
        {
            var place = verdict.Place;
            uint end = place.Offset + FrameHeader.LengthOfFrame((uint)call.Payload.Length);
            _attached.Add(new Waiter(call, end, AppendStatus.Committed, place.Offset, place.LastSequence, place.TimeMs, default, 0));
            return true;
        }
        if (!TryMakeRoom(call, (uint)call.Payload.Length, out bool settled))
            return settled;
        var writer = new WriterId(request.Writer);
        ulong last = writer == WriterId.Anonymous ? 0 : request.FirstSequence + request.RecordCount - 1;
        Sequence(call, new FrameHeader
        {
            Kind = FrameKind.Data,
            RecordCount = (ushort)request.RecordCount,
            Writer = writer,
            Epoch = request.Epoch,
            FirstSequence = request.FirstSequence,
            PayloadCrc = request.PayloadCrc,
        }, call.Payload.Span, last);
        return true;
    }

    private bool TryInit(IncomingCall call, InitWriterRequest request)
    {
        var verdict = _judge.OfInit(request);
        if (verdict.Kind == VerdictKind.Answer)
        {
            if (verdict.Status == AppendStatus.TooManyWriters && _eviction.TryBegin())
                verdict = Verdict.Refuse(AppendStatus.Busy, "The file is forgetting idle writers to make room.");
            Answer(call, verdict);
            return true;
        }
        var writer = new WriterId(request.Writer);
        if (verdict.Kind == VerdictKind.ShareFate)
        {
            foreach (var waiter in _waiters)
            {
                if (waiter.InitEpoch != request.Epoch || waiter.Writer != writer)
                    continue;
                _attached.Add(waiter with { Call = call });
                return true;
            }
            Answer(call, verdict);
            return true;
        }
        if (!TryMakeRoom(call, 0, out bool settled))
            return settled;
        ulong last = _replica.Log.Table.TryGet(writer, out var entry) ? entry.LastSequence : 0;
        Sequence(call, new FrameHeader { Kind = FrameKind.InitWriter, Writer = writer, Epoch = request.Epoch }, default, last, entry?.MemoryUpTo(last));
        return true;
    }

    private bool TryEvict(IncomingCall call, EvictWriterRequest request)
    {
        var verdict = _judge.OfEviction(request);
        if (verdict.Kind == VerdictKind.Answer)
        {
            Answer(call, verdict);
            return true;
        }
        if (!TryMakeRoom(call, 0, out bool settled))
            return settled;
        Sequence(call, new FrameHeader { Kind = FrameKind.EvictWriter, Writer = new WriterId(request.Writer), Epoch = request.Epoch }, default, 0);
        return true;
    }

    /// <summary>Idle writers may be forgotten. A chunk without room for that is ended: the others are forgotten in the next one, when it matters.</summary>
    public void TakeExpired(WritersExpired answer)
    {
        foreach (var (writer, epoch) in _eviction.Take(answer))
        {
            if (!IsActive || _seal || _replica.Log.EndsInSeal || AbortReason is not null || HasTooMuchInFlight(FrameHeader.Size))
                return;
            if (!HasSpace(FrameHeader.Size))
            {
                SealSoon();
                return;
            }
            if (!_group.HasRoom(FrameHeader.Size))
                WriteGroup();
            if (AbortReason is null)
                Append(new FrameHeader { Kind = FrameKind.EvictWriter, Writer = writer, Epoch = epoch }, default);
        }
    }

    private bool HasSpace(uint length) => _replica.Log.Tail + length <= _replica.Log.Chunk.Capacity - ChunkLimits.SealReserve;

    private bool HasTooMuchInFlight(uint length)
    {
        uint uncommitted = _replica.Log.Tail - _replica.Committed;
        return uncommitted > 0 && uncommitted + length > MaxUncommittedBytes;
    }

    /// <summary>
    /// True: the frame can be sequenced now. False with <paramref name="settled"/>: the chunk is full or sealed, and the call waits for that to be decided.
    /// </summary>
    private bool TryMakeRoom(IncomingCall call, uint payloadLength, out bool settled)
    {
        var log = _replica.Log;
        uint length = FrameHeader.LengthOfFrame(payloadLength);
        settled = true;
        if (!_seal && !HasSpace(length))
            _seal = true;
        if (_members.Length < _minMembers)
            _seal = true;
        SealIfWanted();
        if (log.EndsInSeal)
        {
            if (_replica.IsSealed)
                Answer(call, AppendStatus.Sealed);
            else
                _attached.Add(new Waiter(call, log.Tail, AppendStatus.Sealed, 0, 0, 0, default, 0));
            return false;
        }
        settled = false;
        if (_seal)
            return false;
        if (HasTooMuchInFlight(length))
            return false;
        if (!_group.HasRoom(length))
            WriteGroup();
        return AbortReason is null;
    }

    private void SealIfWanted()
    {
        var log = _replica.Log;
        if (!_seal || !IsActive || log.EndsInSeal || AbortReason is not null)
            return;
        long time = NextTimeMs();
        byte[] nextBase = log.Table.ToBase(time);
        var summary = new SealSummary(
            log.Tail, WriterTable.DigestOf(nextBase), log.Table.FileRecords, log.Table.FilePayloadBytes, (uint)log.Table.Count);
        var payload = new byte[SealSummary.Size];
        summary.Write(payload);
        if (!_group.HasRoom(FrameHeader.LengthOfFrame(SealSummary.Size)))
            WriteGroup();
        if (AbortReason is null)
            Append(new FrameHeader { Kind = FrameKind.Seal, TimeMs = time, PayloadCrc = Crc32C.Compute(payload) }, payload);
    }

    /// <summary>Milliseconds since 1970, never going back in a file.</summary>
    private long NextTimeMs() => Math.Max(_replica.Log.Table.LastTimeMs, _services.Time.GetUtcNow().ToUnixTimeMilliseconds());

    private void Sequence(IncomingCall call, in FrameHeader header, ReadOnlySpan<byte> payload, ulong lastSequence, WriterMemory? memory = null)
    {
        var placed = Append(header, payload);
        _waiters.Enqueue(new Waiter(call, placed.End, AppendStatus.Committed, placed.Offset, lastSequence, placed.TimeMs, header.Writer,
            header.Kind == FrameKind.InitWriter ? header.Epoch : 0, memory));
    }

    /// <summary>Gives the frame its place in the log and puts it into the group.</summary>
    private FrameHeader Append(in FrameHeader header, ReadOnlySpan<byte> payload)
    {
        var log = _replica.Log;
        var placed = header with
        {
            PayloadLength = (uint)payload.Length,
            TimeMs = header.Kind is FrameKind.Seal ? header.TimeMs : NextTimeMs(),
            Offset = log.Tail,
            Ballot = Ballot,
            Committed = _replica.Committed,
            Chain = log.Chain,
        };
        placed = placed with { HeaderCrc = _group.Add(placed, payload) };
        log.Sequence(placed);
        return placed;
    }

    // ---- Step 2: to the disk and to every secondary

    /// <summary>Everything that was queued has been taken: what it made into a group goes out, unless enough is under way already.</summary>
    public void EndOfBatch()
    {
        while (true)
        {
            if (MaySendGroup())
                WriteGroup();
            if (!_advanceDue)
                return;
            _advanceDue = false;
            Advance();
        }
    }

    private bool MaySendGroup()
    {
        if (AbortReason is not null)
            return false;
        foreach (var member in _secondaries)
        {
            if (member.InFlight >= _services.Options.GroupsInFlight)
                return false;
        }
        return true;
    }

    private void WriteGroup()
    {
        if (_group.IsEmpty)
            return;
        try
        {
            _replica.Log.Files.Append(_group.Bytes);
        }
        catch (DiskFullException e)
        {
            AbortReason = e.Message;
            return;
        }
        _replica.FramesWereWritten();
        _recent.Add(_group);
        _group = _recent.Next();
        foreach (var member in _secondaries)
            Send(member);
        if (_replica.InMemory)
            _advanceDue = true;
        else
            _replica.StartFlush();
        ArmTimer(WatchInterval);
    }

    /// <summary>Sends the secondary what it lacks, as far as it may have calls in flight.</summary>
    private void Send(MemberStream member)
    {
        if (_services.Time.GetTimestamp() < member.RetryAt)
            return;
        try
        {
            if (!member.Following)
            {
                if (member.InFlight == 0)
                    SendNewView(member);
                return;
            }
            while (member.InFlight < _services.Options.GroupsInFlight && member.Next < _replica.Log.Files.Length)
                SendPrepare(member);
        }
        catch (IOException e) when (e is not DamageException && DiskTroubles.Of(e) is DiskTrouble.Passing)
        {
            Retry(member);      // our own frames cannot be read at the moment
        }
    }

    private void SendPrepare(MemberStream member)
    {
        uint from = member.Next;
        if (!_recent.TryShare(from, out var frames))
            frames = FramesFrom(from);
        member.Next = from + (uint)frames.Length;
        member.ToldCommitted = _replica.Committed;
        _ = CallAsync(member, MessageKind.Prepare, new PrepareRequest
        {
            Handle = _replica.Handle.Value,
            Ballot = Ballot.Value,
            Offset = from,
            Committed = _replica.Committed,
            Sender = _services.Self().Value,
        }, frames);
    }

    private void SendNewView(MemberStream member)
    {
        var log = _replica.Log;
        uint from = member.WantsFramesFrom ?? log.Files.Length;
        var request = new NewViewRequest
        {
            Handle = _replica.Handle.Value,
            Ballot = Ballot.Value,
            Sender = _services.Self().Value,
            Tail = log.Files.Length,
            BaseDigest = log.Files.Metadata.BaseDigest,
            FramesFrom = from,
        };
        foreach (var (ballot, start) in log.Lineage)
        {
            if (start < log.Files.Length)
                request.Lineage.Add(new LineageEntry { Ballot = ballot.Value, Start = start });
        }
        _ = CallAsync(member, MessageKind.NewView, request, from < log.Files.Length ? FramesFrom(from) : Payload.Empty);
    }

    /// <summary>Whole frames from the disk: for a secondary that missed what is in no group any more.</summary>
    private Payload FramesFrom(uint from)
    {
        uint available = _replica.Log.Files.Length - from;
        if (available == 0)
            return Payload.Empty;
        int length = (int)Math.Min(available, CatchUpBytes);
        var buffer = _replica.Log.ReadBuffer(from, length);
        int whole = WholeFrames.Length(buffer.Span[..length], out int next);
        if (whole == 0)
        {
            buffer.Release();
            if (next == 0 || next > available)
                throw new DamageException($"no frame begins at offset {from} any more");
            // One frame that is larger than the limit.
            buffer = _replica.Log.ReadBuffer(from, next);
            whole = next;
        }
        // What rotted here must not be held against the secondary that refuses it.
        var check = new FrameReader(buffer.Span[..whole], from, chain: null);
        while (check.Read())
        {
        }
        if (check.Fault is not null)
            _replica.Post(new RotFound(check.Fault));
        return new Payload(buffer, 0, whole);
    }

    private async Task CallAsync(MemberStream member, MessageKind kind, Google.Protobuf.IMessage request, Payload payload)
    {
        long now = _services.Time.GetTimestamp();
        member.InFlight++;
        member.OwingSince ??= now;
        var result = await member.Link.CallAsync(kind, request, payload, Expected(member) * 2, _ended.Token);
        if (!_replica.Post(new MemberAnswered(this, member, kind == MessageKind.NewView, result, now)))
            result.Payload.Release();
    }

    // ---- Step 3: votes

    /// <summary>The primary's own flush is done.</summary>
    public void TakeOwnVote() => Advance();

    public void TakeAnswer(MemberAnswered answer)
    {
        var member = answer.Member;
        member.InFlight--;
        answer.Result.Payload.Release();
        long now = _services.Time.GetTimestamp();
        if (!answer.Result.IsAnswered)
        {
            member.UnreachableSince = answer.Result.Outcome is CallOutcome.TimedOut ? null : member.UnreachableSince ?? now;
            Retry(member);
            return;
        }
        member.UnreachableSince = null;
        member.Pulse.Answered(answer.SentAt, now, In(PulseWindow) - now);
        var vote = answer.Result.Answer<Vote>();
        switch (vote.Status)
        {
            case VoteStatus.Voted when vote.Ballot == Ballot.Value && vote.Durable <= _replica.Log.Files.Length:
                uint before = member.Acked;
                if (answer.ToNewView || !member.Following)
                    member.Installed(vote.Durable);
                else
                    member.Voted(vote.Durable);
                if (member.Acked >= _replica.Log.Files.Length)
                    member.OwingSince = null;
                else if (member.Acked > before)
                    member.OwingSince = now;
                Advance();
                break;
            case VoteStatus.Gap:
                member.Next = Math.Min(vote.Durable, _replica.Log.Files.Length);
                break;
            case VoteStatus.NeedView when member.Following && IsActive:
                // It may have forgotten what it voted for. A view is never installed twice: it is shown the log in a new ballot.
                AbortReason = $"server {new ServerId(member.Server.ServerId)} may have forgotten what it voted for";
                return;
            case VoteStatus.NeedFrames:
                member.WantsFramesFrom = Math.Min(vote.Durable, _replica.Log.Files.Length);
                member.OwingSince = now;
                break;
            case VoteStatus.VoteStale:
                _replica.Post(new PrimaryReplaced(this));
                return;
            case VoteStatus.DiskFull when !_seal && IsActive:
                AbortReason = $"server {new ServerId(member.Server.ServerId)}: {vote.Detail}";
                return;
            case VoteStatus.VoteBusy:
                Retry(member);
                return;
            default:
                Accuse(member, $"{vote.Status}: {vote.Detail}");
                Retry(member);
                return;
        }
        Send(member);
    }

    private void Retry(MemberStream member)
    {
        if (member.Following)
            member.Rewind();
        member.RetryAt = In(RetryPause);
        ArmTimer(WatchInterval);
    }

    // ---- Step 4: the watermark

    /// <summary>The watermark is what every member holds; whoever waited below it is answered.</summary>
    private void Advance()
    {
        uint held = uint.MaxValue;
        foreach (var member in _secondaries)
        {
            if (!member.Following)
                return;
            held = Math.Min(held, member.Acked);
        }
        _recent.DropBelow(held);
        held = Math.Min(held, _replica.Held);
        if (!IsActive)
        {
            if (held < _replica.Log.Tail)
                return;
            IsActive = true;
            _services.Logger.BecameActive(_replica.Handle, Ballot, _members.Length, _replica.Log.Tail);
            _replica.Commit(held);
            _replica.PrimaryChanged();
        }
        _replica.Commit(held);
        uint committed = _replica.Committed;
        while (_waiters.TryPeek(out var waiter) && waiter.End <= committed)
            _waiters.Dequeue().Commit(Ballot, _replica.Log.Chunk.Index);
        for (int i = 0; i < _attached.Count; i++)
        {
            if (_attached[i].End > committed)
                continue;
            _attached[i].Commit(Ballot, _replica.Log.Chunk.Index);
            _attached.RemoveAt(i--);
        }
        SealIfWanted();
        if (_replica.IsSealed && !_sealReported)
        {
            _sealReported = true;
            _ = ReportSealAsync(new SealedRequest
            {
                Handle = _replica.Handle.Value,
                Version = Ballot.Version,
                Sender = _services.Self().Value,
                Length = _replica.Log.Tail,
                BaseDigest = WriterTable.DigestOf(_replica.Log.NextBase),
                SealBallot = _replica.Log.SealBallot,
            });
        }
        while (_parked.TryPeek(out var parked) && AbortReason is null && TrySettle(parked))
            _parked.Dequeue();
        if (SomeoneLagsBehind())
            ArmTimer(_services.Options.CommitDelay);
    }

    private bool SomeoneLagsBehind()
    {
        foreach (var member in _secondaries)
        {
            if (member.ToldCommitted < _replica.Committed)
                return true;
        }
        return false;
    }

    // ---- The timer: commits that no PREPARE carries, retries, accusations

    public void TakeTick()
    {
        ForgiveIfHeldUp();
        _timerDue = null;
        if (LeaseIsOver)
        {
            _replica.Post(new PrimaryReplaced(this));
            return;
        }
        long now = _services.Time.GetTimestamp();
        bool waiting = !IsActive;
        foreach (var member in _secondaries)
        {
            Send(member);
            if (member is { Following: true, InFlight: 0 } && member.ToldCommitted < _replica.Committed && now >= member.RetryAt)
                SendPrepare(member);
            Watch(member, now);
            waiting |= member.InFlight > 0 || member.Acked < _replica.Log.Files.Length || member.ToldCommitted < _replica.Committed;
        }
        if (waiting)
            ArmTimer(WatchInterval);
    }

    /// <summary>Our own process did not get to run: the answers that seem late may be waiting right here.</summary>
    private void ForgiveIfHeldUp()
    {
        long now = _services.Time.GetTimestamp();
        bool isLate = _timerDue is { } due && now > due && Elapsed(due, now) > _services.Options.VoteTimeout / 4;
        _lateTicks = isLate ? _lateTicks + 1 : 0;
        if (!isLate || _lateTicks > MostLateTicks)
            return;
        foreach (var member in _secondaries)
        {
            if (member.OwingSince is not null)
                member.OwingSince = now;
        }
    }

    private void Watch(MemberStream member, long now)
    {
        if (member.UnreachableSince is { } lost && Elapsed(lost, now) >= _services.Options.VoteTimeout / 2)
            Accuse(member, $"it could not be reached for {Elapsed(lost, now).TotalMilliseconds:F0} ms");
        else if (member.OwingSince is { } since && (member.InFlight > 0 || member.Acked < _replica.Log.Files.Length) && Elapsed(since, now) >= PatienceWith(member, now))
            Accuse(member, $"it owed a vote for {Elapsed(since, now).TotalMilliseconds:F0} ms");
    }

    /// <summary>How long it may owe a vote: longer if it is alive as far as its answers for other chunks tell.</summary>
    private TimeSpan PatienceWith(MemberStream member, long now)
    {
        var expected = Expected(member);
        return member.Pulse.Last is > 0 and var last && Elapsed(last, now) < expected ? _services.Options.VoteTimeout * PatienceWithTheSlow : expected;
    }

    /// <summary>Within this time an answer of it should come, going by those that came for any chunk.</summary>
    private TimeSpan Expected(MemberStream member)
    {
        var least = _services.Options.VoteTimeout;
        var expected = Elapsed(0, member.Pulse.Slowest) * 2;
        return expected < least ? least : expected < least * PatienceWithTheSlow ? expected : least * PatienceWithTheSlow;
    }

    private void Accuse(MemberStream member, string reason)
    {
        long now = _services.Time.GetTimestamp();
        if (member.AccusedAt is { } last && Elapsed(last, now) < _services.Options.VoteTimeout)
            return;
        member.AccusedAt = now;
        _services.Logger.MemberAccused(_replica.Handle, new ServerId(member.Server.ServerId), reason);
        _ = AccuseAsync(member, reason);
    }

    private async Task AccuseAsync(MemberStream member, string reason)
    {
        var result = await _services.Master.CallAsync(MessageKind.Suspect, new SuspectRequest
        {
            Handle = _replica.Handle.Value,
            Version = Ballot.Version,
            Sender = _services.Self().Value,
            Member = member.Server.ServerId,
            Reason = reason,
        }, Payload.Empty, _services.Options.VoteTimeout * 2, _ended.Token);
        result.Payload.Release();
        if (result.IsAnswered && result.Answer<SuspectReply>().Status == Status.Stale)
            _replica.Post(new PrimaryReplaced(this));
    }

    /// <summary>Tells the master until it has heard it: only then can the file's next chunk exist.</summary>
    private async Task ReportSealAsync(SealedRequest request)
    {
        while (!_ended.IsCancellationRequested)
        {
            var result = await _services.Master.CallAsync(MessageKind.Sealed, request, Payload.Empty, TimeSpan.FromSeconds(5), _ended.Token);
            result.Payload.Release();
            if (result.IsAnswered && result.Answer<SealedReply>().Status is Status.Ok or Status.Stale or Status.NotFound)
                return;
            try
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), _services.Time, _ended.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private void ArmTimer(TimeSpan due)
    {
        long at = In(due);
        if (_timerDue <= at || _ended.IsCancellationRequested)
            return;
        _timerDue = at;
        _timer ??= _services.Time.CreateTimer(_ => _replica.Post(new PrimaryTick(this)), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(due, Timeout.InfiniteTimeSpan);
    }

    private void Answer(IncomingCall call, AppendStatus status) => call.Reply(new AppendReply
    {
        Status = status,
        Ballot = Ballot.Value,
        ChunkIndex = _replica.Log.Chunk.Index,
    });

    private void Answer(IncomingCall call, in Verdict verdict) => call.Reply(new AppendReply
    {
        Status = verdict.Status,
        Ballot = Ballot.Value,
        ChunkIndex = verdict.Place.RecordCount > 0 ? verdict.Place.ChunkIndex : _replica.Log.Chunk.Index,
        Offset = verdict.Place.Offset,
        LastSequence = verdict.LastSequence,
        TimeMs = verdict.Place.TimeMs,
        Detail = verdict.Detail,
        Memory = verdict.Memory,
    });

    private long In(TimeSpan duration) => _services.Time.GetTimestamp() + (long)(duration.TotalSeconds * _services.Time.TimestampFrequency);

    private TimeSpan Elapsed(long since, long now) => _services.Time.GetElapsedTime(since, now);
}
