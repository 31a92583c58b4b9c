using System.Threading.Channels;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Appending;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Storage.Chunks;
using Semel.Storage.Disks;

namespace Semel.ChunkServer.Replicas;

/// <summary>
/// One replica of one chunk: the secondary's side of the protocol, and the frame in which a <see cref="Primary"/> works while this
/// replica is one. A single loop owns all state; a step that waits for the disk lets nothing else happen meanwhile.
/// <code>
/// Open    (promised == last view)  --PROMISE b-->   Fenced  (promised b: votes for nothing below it)
/// Fenced / Open  --NEW_VIEW b >= promised-->        Open in view b (cut to the common prefix, the rest copied, durable)
/// Fenced / Open  --GRANT v above last view-->       Open in view v.0, as its primary
/// Open    --SEAL committed-->                       Sealed  (the log never changes again)
/// any     --the disk fails-->                       Failed  (answers nothing but that)
/// </code>
/// </summary>
internal sealed class Replica
{
    private readonly ReplicaServices _services;
    private readonly Channel<object> _mailbox = Channel.CreateUnbounded<object>(new UnboundedChannelOptions { SingleReader = true });
    private readonly List<(IncomingCall Call, uint End)> _owedVotes = [];
    private int _queuedCalls;                 // bounds the mailbox: calls beyond the limit are answered BUSY
    private Ballot _promised;
    private Ballot _lastView;
    private uint _heardCommitted;
    private bool _flushing;
    private bool _sealRecorded;
    private bool _suspect;
    private bool _rotten;
    private string? _failure;
    private Primary? _primary;
    private ITimer? _backgroundFlush;
    private readonly RestTimer _rest;
    private bool _stopped;
    private ChunkReport _report = new();
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Replica(ReplicaLog log, ReplicaServices services, bool found)
    {
        _services = services;
        Log = log;
        _rest = new RestTimer(Handle, services.Time, () => Post(new RestDue()));
        var metadata = log.Files.Metadata;
        (_promised, _lastView) = (metadata.Promised, metadata.LastView);
        Committed = Math.Min(Math.Max(log.CommittedHint, metadata.Committed), log.Tail);
        _sealRecorded = IsSealed && metadata.Sealed;
        _suspect = found && !_sealRecorded && (metadata.BootId == ChunkMetadata.Distrusted || (InMemory && metadata.BootId != log.Files.BootId));
        Watch = new CommitWatch(Bound());
        _report = MakeReport();
        _ = RunAsync(found);
    }

    public ChunkHandle Handle => Log.Chunk.Handle;
    public CommitWatch Watch { get; }
    public ReplicaLog Log { get; }

    /// <summary>Ends when what was found on the disk is durable, its name included; with the disk's failure if it cannot be made so.</summary>
    public Task Opened => _opened.Task;

    /// <summary>As of the last change that others care for. May be read from any thread.</summary>
    public ChunkReport Report => Volatile.Read(ref _report);

    // ---- What the primary sees of its replica; only within the loop.

    /// <summary>The watermark: frames below it are on every member.</summary>
    public uint Committed { get; private set; }

    /// <summary>Frames below it are held as the file's durability demands.</summary>
    public uint Held { get; private set; }

    public bool InMemory => Log.Chunk.Durability == Durability.Memory;
    public bool IsSealed => Log.EndsInSeal && Committed == Log.Tail;

    // ---- From any thread

    /// <summary>Takes a call over: the loop answers it.</summary>
    public void Take(IncomingCall call)
    {
        if (Interlocked.Increment(ref _queuedCalls) > _services.Options.QueuedAppendsPerChunk && call.Kind == MessageKind.Append)
        {
            Interlocked.Decrement(ref _queuedCalls);
            call.Reply(new AppendReply { Status = AppendStatus.Busy, Detail = $"{_services.Options.QueuedAppendsPerChunk} calls wait at chunk {Handle} already." });
            return;
        }
        if (!_mailbox.Writer.TryWrite(call))
            AnswerGone(call);
    }

    /// <summary>False: the loop has ended.</summary>
    public bool Post(object what) => _mailbox.Writer.TryWrite(what);

    // ---- The loop

    private async Task RunAsync(bool found)
    {
        try
        {
            var reader = _mailbox.Reader;
            while (found && !_stopped && await LackOfSpaceAsync() is { } lack)
            {
                // Whatever comes is refused until there is space, and is the occasion to try again.
                if (await reader.WaitToReadAsync())
                    await RefuseAllAsync(lack);
            }
            Held = Log.Tail;
            Log.WereFlushed(Log.Tail);
            if (HasUnwritten)
                _rest.Changed();
            if (!_stopped)
                _opened.TrySetResult();
            while (!_stopped && await reader.WaitToReadAsync())
            {
                while (!_stopped && reader.TryRead(out var what))
                    await TakeAsync(what);
                if (_stopped)
                    break;
                EndBatch();
                await SettleAsync();
            }
        }
        catch (Exception e)
        {
            Fail(e);
        }
        if (_opened.TrySetException(new IOException($"The replica of chunk {Handle} has failed: {_failure}")))
            _ = _opened.Task.Exception;     // nobody need ask
        _mailbox.Writer.TryComplete();
        await foreach (var left in _mailbox.Reader.ReadAllAsync())
            AnswerGone(left);
        Watch.Close();
    }

    private void EndBatch()
    {
        try
        {
            _primary?.EndOfBatch();
        }
        catch (Exception e) when (IsDamage(e))
        {
            TakeRot(e.Message);
        }
        catch (Exception e) when (e is IOException or InvariantViolationException)
        {
            Fail(e);
        }
    }

    private static bool IsDamage(Exception e) => e is DamageException or EndOfStreamException;

    /// <summary>Before the first vote or promise: what the scan found may not be durable. Not null: there is no space to make it so.</summary>
    private async Task<string?> LackOfSpaceAsync()
    {
        try
        {
            // What a damaged replica lacks it must go on to know, also when the bytes that told of it are gone.
            if (Log.IsDamaged && (Log.Files.Metadata.Committed < Log.CommittedHint || Log.Files.Metadata.Durable < Log.Durable))
                await RememberAsync(_promised, _lastView, BootIdAsItIs);
            await Log.Files.MakeDurableAsync(provenTo: Math.Min(Math.Max(InMemory ? 0 : Committed, Log.Files.Metadata.Durable), Log.Tail));
            if (Log.Files.MetadataFault is not null)
                await RememberAsync(_promised, _lastView, BootIdAsItIs, both: true);
            return null;
        }
        catch (DiskFullException e)
        {
            return e.Message;
        }
    }

    private async Task RefuseAllAsync(string reason)
    {
        while (!_stopped && _mailbox.Reader.TryRead(out var what))
        {
            if (what is IncomingCall)
                Interlocked.Decrement(ref _queuedCalls);
            if (what is StopWanted or DeleteWanted)
                await TakeEventAsync(what);
            else
                AnswerGone(what, reason);
        }
    }

    private async ValueTask TakeAsync(object what)
    {
        var call = what as IncomingCall;
        if (call is not null)
            Interlocked.Decrement(ref _queuedCalls);
        if (_failure is not null && what is not (DeleteWanted or StopWanted or DistrustWanted))
        {
            AnswerGone(what);
            return;
        }
        try
        {
            if (call is not null)
                await TakeCallAsync(call);
            else
                await TakeEventAsync(what);
        }
        catch (DiskFullException e) when (call is not null)
        {
            // Nothing half-done counts: a ballot that is promised or installed only in memory is repeated, by whoever sent it, until there is space.
            _services.Logger.CallLacksSpace(Handle, call.Kind, e.Message);
            if (!call.IsAnswered)
                AnswerGone(call, e.Message);
        }
        catch (IOException e) when (IsDamage(e) || IsOnlyRead(call))
        {
            if (IsDamage(e) || DiskTroubles.Of(e) is not DiskTrouble.Passing)
                TakeRot(e.Message);
            if (call is not null && !call.IsAnswered)
                AnswerGone(call, e.Message);
        }
        catch (Exception e) when (e is IOException or InvariantViolationException)
        {
            Fail(e);
            if (call is not null && !call.IsAnswered)
                AnswerGone(call);
        }
    }

    /// <summary>Such a call changes nothing: when the disk fails it is only its bytes that cannot be had.</summary>
    private static bool IsOnlyRead(IncomingCall? call) => call is { Kind: MessageKind.FetchBase or MessageKind.FindWriter or MessageKind.InspectChunk };

    private async ValueTask TakeCallAsync(IncomingCall call)
    {
        switch (call.Kind)
        {
            case MessageKind.Append:
            case MessageKind.InitWriter:
            case MessageKind.EvictWriter:
                TakeAppend(call);
                break;
            case MessageKind.FindWriter:
                TakeFindWriter(call, (FindWriterRequest)call.Header);
                break;
            case MessageKind.Prepare:
                TakePrepare(call, (PrepareRequest)call.Header);
                break;
            case MessageKind.NewView:
                await TakeNewViewAsync(call, (NewViewRequest)call.Header);
                break;
            case MessageKind.Promise:
                await TakePromiseAsync(call, (PromiseRequest)call.Header);
                break;
            case MessageKind.Grant:
                await TakeGrantAsync(call, (GrantRequest)call.Header);
                break;
            case MessageKind.SealChunk:
                TakeSealChunk(call, (SealChunkRequest)call.Header);
                break;
            case MessageKind.FetchBase:
                TakeFetchBase(call, (FetchBaseRequest)call.Header);
                break;
            case MessageKind.InspectChunk:
                call.Reply(Inspect());
                break;
            default:
                throw new InvariantViolationException($"A replica got a call of kind {call.Kind}.");
        }
    }

    private async ValueTask TakeEventAsync(object what)
    {
        switch (what)
        {
            case FlushEnded flush:
                TakeFlushEnded(flush);
                break;
            case MemberAnswered answer when answer.Asker == _primary:
                _primary.TakeAnswer(answer);
                break;
            case MemberAnswered late:
                late.Result.Payload.Release();
                break;
            case WritersExpired expired when expired.Asker == _primary:
                _primary.TakeExpired(expired);
                break;
            case PrimaryTick tick when tick.Primary == _primary:
                _primary.TakeTick();
                break;
            case PrimaryReplaced replaced when replaced.Primary == _primary:
                StepDown("the master knows of a newer configuration");
                break;
            case BackgroundFlushDue:
                StartFlush();
                break;
            case LeaseRenewed renewal when _primary is not null && _primary.Ballot.Version == renewal.Version:
                _primary.Renew(renewal.Duration);
                PublishBound();
                break;
            case SealConfirmed seal when Log.EndsInSeal && Log.Tail == seal.Length && (_lastView.Version == seal.Version || (seal.SealBallot != 0 && Log.SealBallot == seal.SealBallot)):
                Commit(Math.Min(Log.Tail, Held));
                break;
            case TableUnneeded when _sealRecorded:
                Log.ForgetTable();
                break;
            case DistrustWanted distrust:
                await DistrustAsync(distrust);
                break;
            case DeleteWanted delete:
                await DeleteAsync(delete);
                break;
            case RestDue:
                await TakeRestAsync();
                break;
            case RotFound rot:
                // Seen from beside the loop, a file may have been short because it was just being cut.
                if (!rot.IsShortage || IsCutShort())
                    TakeRot(rot.Detail);
                break;
            case StopWanted stop:
                await StopAsync(stop);
                break;
        }
    }

    // ---- Client to primary

    private void TakeAppend(IncomingCall call)
    {
        ulong known = call.Header switch
        {
            AppendRequest append => append.KnownBallot,
            InitWriterRequest init => init.KnownBallot,
            _ => ((EvictWriterRequest)call.Header).KnownBallot,
        };
        if (_primary is not null && (known > _primary.Ballot.Value || _primary.LeaseIsOver))
            StepDown(known > _primary.Ballot.Value ? $"a client has met ballot {new Ballot(known)}" : "the lease ran out");
        if (_primary is not null)
            _primary.Take(call);
        else if (IsSealed)
            call.Reply(new AppendReply { Status = AppendStatus.Sealed, Ballot = _lastView.Value, ChunkIndex = Log.Chunk.Index });
        else
            call.Reply(new AppendReply { Status = AppendStatus.NotPrimary, Ballot = _lastView.Value });
    }

    /// <summary>
    /// What the file knows of a writer where this chunk begins, and, if this replica can tell for sure, where it ends: an open chunk's end is known
    /// to its active primary under a lease only.
    /// </summary>
    private void TakeFindWriter(IncomingCall call, FindWriterRequest request)
    {
        var writer = new WriterId(request.Writer);
        var reply = new FindWriterReply { Status = Status.Ok, Ballot = _lastView.Value };
        bool read = WriterTable.TryRead(Log.Files.BaseBytes, out var atStart, out _);
        Invariant.Holds(read);
        if (atStart!.TryGet(writer, out var entry))
            reply.AtStart = new WriterStanding { Epoch = entry.Epoch, LastSequence = entry.LastSequence };
        reply.Ends = IsSealed || _primary is { IsActive: true, LeaseIsOver: false };
        if (reply.Ends && Table().TryGet(writer, out entry))
            reply.AtEnd = new WriterStanding { Epoch = entry.Epoch, LastSequence = _primary?.CommittedSequenceOf(entry) ?? entry.LastSequence };
        call.Reply(reply);
    }

    private void TakeSealChunk(IncomingCall call, SealChunkRequest request)
    {
        if (_primary is null || _primary.Ballot.Version != request.Version)
            call.Reply(new SealChunkReply { Status = Status.Stale });
        else
        {
            _primary.SealSoon();
            call.Reply(new SealChunkReply { Status = Status.Ok });
        }
    }

    // ---- Primary to secondary

    private void TakePrepare(IncomingCall call, PrepareRequest request)
    {
        var ballot = new Ballot(request.Ballot);
        if (ballot < _promised)
            Vote(call, VoteStatus.VoteStale, _promised);
        else if (_rotten)
            Vote(call, VoteStatus.IoError, ballot, DamageDetail);
        else if (ballot != _lastView || _suspect || Log.IsDamaged)
            Vote(call, VoteStatus.NeedView, ballot);
        else if (request.Offset > Log.Tail)
            Vote(call, VoteStatus.Gap, ballot);
        else if (AppendNew(request, call.Payload.Span, out var refusal, out string? detail))
        {
            _heardCommitted = Math.Max(_heardCommitted, request.Committed);
            Commit(Math.Min(_heardCommitted, Held));
            if (Held >= Log.Tail || call.Payload.Length == 0)
                Vote(call, VoteStatus.Voted, ballot);
            else
            {
                _owedVotes.Add((call, Log.Tail));
                StartFlush();
            }
        }
        else
            Vote(call, refusal, ballot, detail);
    }

    /// <summary>Appends those of the message's frames that are not here yet. In one ballot an offset has one frame, so what is here is the same.</summary>
    private bool AppendNew(PrepareRequest request, ReadOnlySpan<byte> frames, out VoteStatus refusal, out string? detail)
    {
        (refusal, detail) = (VoteStatus.IoError, null);
        if (request.Offset + (uint)frames.Length <= Log.Tail)
            return true;
        frames = frames[(int)(Log.Tail - request.Offset)..];
        try
        {
            detail = Log.TryAppend(frames, _lastView);
        }
        catch (DiskFullException e)
        {
            (refusal, detail) = (VoteStatus.DiskFull, e.Message);
        }
        if (detail is not null)
        {
            _services.Logger.PrepareRefused(Handle, detail);
            return false;
        }
        FramesWereWritten();
        if (Log.EndsInSeal)
            ReportChange();     // the master confirms it, should the primary's last word be lost
        return true;
    }

    /// <summary>
    /// The primary of a newer ballot shows its log. 1: what the two logs do not share is cut off here; nobody counted a vote for it in
    /// any view that lasts. 2: what is missing is copied. 3: the frames become durable, then the view, and only then comes the vote. A crash in
    /// between leaves the old view and a prefix that holds everything that was ever decided. A damaged replica is whole again after that.
    /// </summary>
    private async ValueTask TakeNewViewAsync(IncomingCall call, NewViewRequest request)
    {
        var ballot = new Ballot(request.Ballot);
        if (ballot < _promised)
        {
            Vote(call, VoteStatus.VoteStale, _promised);
            return;
        }
        if (ballot == _lastView)
        {
            // Never install a view twice: the message may be from before a loss of power, and older than what was voted for since.
            Vote(call, _suspect ? VoteStatus.NeedView : VoteStatus.Voted, ballot);
            return;
        }
        if (request.BaseDigest != Log.Files.Metadata.BaseDigest)
        {
            Vote(call, VoteStatus.IoError, ballot,
                $"The base of chunk {Handle} here has digest {Log.Files.Metadata.BaseDigest:x8}, the primary's has {request.BaseDigest:x8}.");
            return;
        }
        if (_rotten)
        {
            Vote(call, VoteStatus.IoError, ballot, DamageDetail);
            return;
        }
        if (Log.CommittedHint > request.Tail && (_suspect || Log.IsDamaged))
        {
            // Whoever has less than was committed must not make this replica forget it.
            _services.Logger.ViewLacksCommitted(Handle, ballot, request.Tail, Log.CommittedHint);
            Vote(call, VoteStatus.IoError, ballot, $"{Log.CommittedHint} bytes of chunk {Handle} were committed once, the view has {request.Tail}.");
            return;
        }
        if (_primary is not null)
            StepDown($"ballot {ballot} came");
        RefuseOwedVotes();
        _promised = ballot;

        // Step 1: cut what is not shared.
        var theirs = request.Lineage.Select(l => (new Ballot(l.Ballot), l.Start)).ToList();
        uint common = Log.CommonPrefix(theirs, request.Tail);
        if (common < Committed && !_suspect)
            throw new InvariantViolationException(
                $"The view {ballot} of chunk {Handle} shares {common} bytes with this replica, {Committed} are committed here.");
        if (common < Log.Tail)
        {
            _services.Logger.SuffixCut(Handle, ballot, common, Log.Tail);
            // Of a damaged replica the mark is all that tells that it lacks something: until the view is installed the other sign says so.
            _suspect |= Log.IsDamaged;
            await Log.Files.LowerDurableAsync(common, Log.IsDamaged ? ChunkMetadata.Distrusted : null);
            Log.Cut(common);
            Held = Math.Min(Held, common);
        }

        // Step 2: copy what is missing.
        if (call.Payload.Length > 0 && request.FramesFrom == Log.Tail && Log.TryAppend(call.Payload.Span, ballot) is { } fault)
        {
            Vote(call, VoteStatus.IoError, ballot, fault);
            return;
        }
        if (Log.Tail < request.Tail)
        {
            PublishBound();
            Vote(call, VoteStatus.NeedFrames, ballot, durable: Log.Tail);
            return;
        }

        // Step 3: durable data, then the durable view, then the vote.
        Invariant.Holds(Log.Tail == request.Tail);
        await Log.Files.FlushAsync();
        ThrowIfCutShort();
        Held = Log.Tail;
        Log.WasAdopted();
        await RememberAsync(ballot, ballot);
        (_lastView, _suspect, _heardCommitted) = (ballot, false, 0);
        _rest.Changed();
        ReportChange();
        Vote(call, VoteStatus.Voted, ballot);
    }

    private void Vote(IncomingCall call, VoteStatus status, Ballot ballot, string? detail = null, uint? durable = null)
    {
        uint upTo = durable ?? (status is VoteStatus.Gap ? Log.Tail : Held);
        call.Reply(new Vote { Status = status, Ballot = ballot.Value, Durable = upTo, Detail = detail ?? "" });
    }

    private void RefuseOwedVotes()
    {
        foreach (var (call, _) in _owedVotes)
            Vote(call, VoteStatus.VoteStale, _promised);
        _owedVotes.Clear();
    }

    // ---- Master to replica

    private async ValueTask TakePromiseAsync(IncomingCall call, PromiseRequest request)
    {
        var ballot = Ballot.OfVersion(request.Version);
        if (ballot > _promised)
        {
            if (_primary is not null)
                StepDown($"the master asked for a promise of version {request.Version}");
            _promised = ballot;
            RefuseOwedVotes();
        }
        // Also when the same promise was asked for before and the disk was full.
        if (ballot == _promised && Log.Files.Metadata.Promised < ballot)
        {
            await FlushHereAsync();
            // A suspect stays one through restarts, until it has been shown the log.
            await RememberAsync(_promised, _lastView, BootIdAsItIs);
            _rest.Changed();
            ReportChange();
        }
        if (IsCutShort())
            TakeRot(ShortDetail);
        call.Reply(new PromiseReply
        {
            Status = ballot == _promised ? Status.Ok : Status.Stale,
            Promised = _promised.Value,
            LastView = _lastView.Value,
            Tail = Log.Tail,
            Committed = Committed,
            Suspect = _suspect,
            Damaged = IsDamaged,
            Generation = _services.Generation(),
        });
    }

    private async ValueTask TakeGrantAsync(IncomingCall call, GrantRequest request)
    {
        var ballot = Ballot.OfVersion(request.Version);
        if (_primary is not null && _primary.Ballot.Version == request.Version)
        {
            call.Reply(new GrantReply { Status = Status.Ok });
            return;
        }
        if (ballot < _promised || request.Version <= _lastView.Version)
        {
            call.Reply(new GrantReply
            {
                Status = Status.Stale,
                Detail = $"Promised {_promised}, last view {_lastView}: a ballot serves one incarnation of a primary only.",
            });
            return;
        }
        if (request.CreationId != 0 && Log.Chunk.CreationId != 0 && request.CreationId != Log.Chunk.CreationId)
        {
            call.Reply(new GrantReply { Status = Status.NotFound, Detail = $"The replica of chunk {Handle} here, of file {Log.Chunk.File}, is of another making." });
            return;
        }
        if (request.OperatorDecided && IsDamaged)
            await GiveUpDamageAsync();
        if (HasForgottenSince(request) is { } forgotten)
        {
            call.Reply(new GrantReply { Status = Status.Stale, Detail = forgotten });
            return;
        }
        if (request.Members.Count(m => m.ServerId == _services.Self().Value) != 1)
        {
            call.Reply(new GrantReply { Status = Status.Stale, Detail = $"This is chunk server {_services.Self()}, which is no member of that configuration." });
            return;
        }
        if (_primary is not null)
            StepDown($"version {request.Version} was granted");
        RefuseOwedVotes();
        _promised = ballot;
        await FlushHereAsync();
        await RememberAsync(ballot, ballot);
        (_lastView, _suspect) = (ballot, false);
        _rest.Changed();
        call.Reply(new GrantReply { Status = Status.Ok });
        StartPrimary(new Primary(this, _services, ballot, [.. request.Members], (int)request.MinMembers, request.Seal,
            _services.Time.GetTimestamp() + TimestampsIn(TimeSpan.FromMilliseconds(request.LeaseMs))));
    }

    /// <summary>The operator has seen what every copy has, and decided for this one. It is the one time that the watermark falls.</summary>
    private async ValueTask GiveUpDamageAsync()
    {
        uint once = OnceCommitted;
        await Log.GiveUpDamageAsync();
        _services.Logger.DamageGivenUp(Handle, Log.Tail, once);
        _rotten = false;
        (Held, Committed, _heardCommitted) = (Math.Min(Held, Log.Tail), Math.Min(Committed, Log.Tail), 0);
    }

    /// <summary>Not null: what promised to be this primary knew more than this replica does now.</summary>
    private string? HasForgottenSince(GrantRequest request)
    {
        if (request.OperatorDecided)
            return null;
        if (_suspect && !request.Unclean)
            return "This replica may have forgotten what it voted for.";
        if (IsDamaged)
            return DamageDetail;
        if (Log.Tail < request.PromisedTail)
            return $"The log ends at {Log.Tail}; it ended at {request.PromisedTail} when this was promised.";
        if (_services.Generation() < request.Generation)
            return "The data directory is older than the one that promised.";
        return null;
    }

    private void TakeFetchBase(IncomingCall call, FetchBaseRequest request)
    {
        if (request.Own)
        {
            call.Reply(new FetchBaseReply { Status = Status.Ok }, Payload.CopyOf(Log.Files.BaseBytes));
            return;
        }
        if (!Log.EndsInSeal || Log.Tail != request.Length)
        {
            call.Reply(new FetchBaseReply { Status = Status.Unavailable, Detail = $"The log of chunk {Handle} ends at {Log.Tail}, not in a SEAL at {request.Length}." });
            return;
        }
        _ = Table();        // it counts as kept from now on
        byte[] bytes = Log.NextBase;
        uint digest = WriterTable.DigestOf(bytes);
        if (digest != request.Digest)
            call.Reply(new FetchBaseReply { Status = Status.Conflict, Detail = $"The base after chunk {Handle} has digest {digest:x8} here, not {request.Digest:x8}." });
        else
            call.Reply(new FetchBaseReply { Status = Status.Ok }, Payload.CopyOf(bytes));
    }

    // ---- The primary's life

    private void StartPrimary(Primary primary)
    {
        _primary = primary;
        _services.Logger.RecoveryBegan(Handle, primary.Ballot, Log.Tail, Committed);
        primary.Begin();
        ReportChange();
    }

    /// <summary>From the primary: it is active, or its bound has changed otherwise.</summary>
    public void PrimaryChanged() => ReportChange();

    private void StepDown(string reason)
    {
        Invariant.Holds(_primary is not null);
        _services.Logger.SteppedDown(Handle, _primary.Ballot, reason);
        _primary.End();
        _primary = null;
        if (Log.Tail > Log.Files.Length && !_rotten)
            Log.Cut(Log.Files.Length);      // frames of a group that was not written: nobody has seen them
        ReportChange();
    }

    /// <summary>
    /// Abort (NULLIFY): everything that is not committed is cut in a new attempt of the same version. Without the new ballot a late vote for
    /// a frame that was cut would be counted for the one in its place.
    /// </summary>
    private async ValueTask AbortAsync(Primary old)
    {
        Invariant.Holds(old.IsActive);      // what is in doubt when a primary begins is nothing that it may cut
        var ballot = _lastView.NextAttempt();
        _services.Logger.Aborted(Handle, ballot, Committed, Log.Tail, old.AbortReason!);
        old.End();
        await Log.Files.LowerDurableAsync(Committed);
        Log.Cut(Committed);
        Held = Math.Min(Held, Committed);
        await FlushHereAsync();
        await RememberAsync(ballot, ballot);
        _rest.Changed();
        (_promised, _lastView) = (ballot, ballot);
        StartPrimary(old.NextAttempt(ballot));
    }

    // ---- Durability and the watermark

    /// <summary>Bytes have gone to the page cache.</summary>
    public void FramesWereWritten()
    {
        if (InMemory)
        {
            Held = Log.Files.Length;
            _backgroundFlush ??= _services.Time.CreateTimer(_ => Post(new BackgroundFlushDue()), null, _services.Options.BackgroundFlushInterval, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>One flush at a time: what is written while it runs goes with the next one.</summary>
    public void StartFlush()
    {
        _backgroundFlush?.Dispose();
        _backgroundFlush = null;
        if (_flushing || (!InMemory && Held >= Log.Files.Length))
            return;
        _flushing = true;
        _ = FlushAsync(Log.Generation, Log.Files.Length);
    }

    private async Task FlushAsync(int generation, uint upTo)
    {
        Exception? failure = null;
        try
        {
            await Log.Files.FlushAsync();
        }
        catch (Exception e)
        {
            failure = e;
        }
        Post(new FlushEnded(generation, upTo, failure));
    }

    /// <summary>A flush for which the loop waits.</summary>
    private async ValueTask FlushHereAsync()
    {
        await Log.Files.FlushAsync();
        Held = Log.Tail;
        Log.WereFlushed(Log.Tail);
    }

    private void TakeFlushEnded(FlushEnded flush)
    {
        _flushing = false;
        if (flush.Failure is not null)
        {
            Fail(flush.Failure);
            return;
        }
        ThrowIfCutShort();
        if (flush.Generation == Log.Generation)
            Log.WereFlushed(flush.UpTo);
        _rest.Changed();
        if (!InMemory)
        {
            // The log may have been cut and regrown while the flush ran; then it says nothing about these frames.
            if (flush.Generation == Log.Generation && flush.UpTo > Held)
                Held = flush.UpTo;
            StartFlush();
        }
        if (_primary is not null)
            _primary.TakeOwnVote();
        else
        {
            PayOwedVotes();
            Commit(Math.Min(_heardCommitted, Held));
        }
    }

    private void PayOwedVotes()
    {
        int paid = 0;
        while (paid < _owedVotes.Count && _owedVotes[paid].End <= Held)
            Vote(_owedVotes[paid++].Call, VoteStatus.Voted, _lastView);
        _owedVotes.RemoveRange(0, paid);
    }

    /// <summary>Raises the watermark; it never falls.</summary>
    public void Commit(uint upTo)
    {
        Invariant.Holds(upTo <= Log.Tail);
        if (upTo <= Committed)
            return;
        Committed = upTo;
        PublishBound();
    }

    private void PublishBound() => Watch.Publish(Bound());

    private ReadBound Bound() => new(_lastView, Committed, IsSealed, _primary is { IsActive: true } ? _primary.LeaseUntil : 0);

    /// <summary>Durable on return. A damaged replica goes on to know that it once had more.</summary>
    private ValueTask RememberAsync(Ballot promised, Ballot lastView, string? bootId = null, bool both = false) =>
        Log.Files.WriteMetadataAsync(promised, lastView, Math.Max(Committed, Log.CommittedHint), IsSealed, bootId, Log.Durable, both);

    /// <summary>A replica that may have forgotten something goes on to say so.</summary>
    private string? BootIdAsItIs => _suspect ? Log.Files.Metadata.BootId : null;

    /// <summary>What a start would not know, or only one of the two slots says.</summary>
    private bool HasUnwritten =>
        !Log.Files.IsMetadataDoubled || Log.Files.Metadata.Durable < Log.Durable || Log.Files.Metadata.Committed < Math.Min(Committed, Log.Durable);

    /// <summary>
    /// At rest: writes down how far the log is durable, and all of it twice. Then a start can tell damage from a torn write, and one rotten sector of the metadata loses nothing.
    /// Never ahead of an append that waits.
    /// </summary>
    private async ValueTask TakeRestAsync()
    {
        if (!_rest.IsTime())
            return;
        if (!HasUnwritten || IsDamaged)
        {
            _rest.Written();
            return;
        }
        bool isBusy = _flushing || Volatile.Read(ref _queuedCalls) > 0 || Held < Log.Files.Length || _owedVotes.Count > 0;
        if (isBusy || !_services.RestWrites.TryBegin())
        {
            _rest.Later();
            return;
        }
        try
        {
            ThrowIfCutShort();
            await WriteDownAsync();
            _rest.Written();
        }
        catch (DiskFullException)
        {
            _rest.Later();
        }
        finally
        {
            _services.RestWrites.End();
        }
    }

    /// <summary>Only what is durable, and no promise that was not given: nothing new is decided.</summary>
    private ValueTask WriteDownAsync()
    {
        var metadata = Log.Files.Metadata;
        uint committed = Math.Max(metadata.Committed, Math.Min(Math.Max(Committed, Log.CommittedHint), Log.Durable));
        return Log.Files.WriteMetadataAsync(
            metadata.Promised, metadata.LastView, committed, metadata.Sealed, BootIdAsItIs, Math.Max(metadata.Durable, Log.Durable), both: true);
    }

    /// <summary>What must wait for the disk and is rare: remembering a committed SEAL, and aborts.</summary>
    private async ValueTask SettleAsync()
    {
        try
        {
            while (_failure is null && _primary is { AbortReason: not null })
                await AbortAsync(_primary);
            if (_failure is null && IsSealed && !_sealRecorded)
            {
                await FlushHereAsync();
                ThrowIfCutShort();
                await RememberAsync(_promised, _lastView);
                _sealRecorded = true;
                _rest.Changed();
                if (Log.Tail > _services.Options.SealedBytesInMemory)
                    Log.Files.LeaveMemory(Log.Tail - (uint)_services.Options.SealedBytesInMemory);
                _services.SealedTables.Add(this, Log.Table.Count);
                ReportChange();
            }
        }
        catch (DiskFullException e)
        {
            // Without a durable attempt nothing may take the place of what was cut. The master gives the chunk to somebody else, or to us again.
            if (_primary is { AbortReason: not null })
                StepDown(e.Message);
        }
        catch (DamageException e)
        {
            TakeRot(e.Message);
        }
        catch (IOException e)
        {
            Fail(e);
        }
    }

    // ---- Reports

    /// <summary>Bytes that were durable once are not here any more.</summary>
    private bool IsDamaged => _rotten || Log.IsDamaged;

    private string DamageDetail => $"{Log.OnceHeld} bytes were durable here once, {(_rotten ? "not all of which" : $"{Log.Tail}")} verify.";

    private string ShortDetail => $"its file is shorter than the {Log.Files.Length} bytes that were written";

    /// <summary>From now on this replica counts as damaged: others go on without it, and it is replaced.</summary>
    private void TakeRot(string detail)
    {
        if (_rotten)
            return;
        _rotten = true;
        _services.Logger.ReplicaRotten(Handle, detail);
        if (_primary is not null)
            StepDown("its bytes do not verify");
        foreach (var (call, _) in _owedVotes)
            AnswerGone(call, DamageDetail);
        _owedVotes.Clear();
        ReportChange();
    }

    /// <summary>Somebody or the disk took bytes away. Not known at the moment: no.</summary>
    private bool IsCutShort()
    {
        try
        {
            return Log.Files.IsCutShort;
        }
        catch (IOException e)
        {
            return DiskTroubles.Of(e) is DiskTrouble.Gone;
        }
    }

    private void ThrowIfCutShort()
    {
        if (IsCutShort())
            throw new DamageException(ShortDetail);
    }

    /// <summary>
    /// An older copy of this replica was put back: what it voted for since is missing. It counts for nothing until a living primary has shown it the log. A sealed one
    /// never changes, however old it is.
    /// </summary>
    private async ValueTask DistrustAsync(DistrustWanted distrust)
    {
        try
        {
            if (!_sealRecorded)
            {
                if (_primary is not null)
                    StepDown("the data directory is an older copy of itself");
                _suspect = true;
                await RememberAsync(_promised, _lastView, ChunkMetadata.Distrusted);
                ReportChange();
            }
            distrust.Remembered.TrySetResult(true);
        }
        catch (IOException)
        {
            distrust.Remembered.TrySetResult(false);
        }
    }

    private void ReportChange()
    {
        PublishBound();
        Volatile.Write(ref _report, MakeReport());
        _services.ReportChanged(this);
    }

    private ChunkReport MakeReport() => new()
    {
        Handle = Handle.Value,
        Promised = _promised.Value,
        LastView = _lastView.Value,
        Tail = Log.Tail,
        Committed = Committed,
        Sealed = IsSealed,
        EndsInSeal = Log.EndsInSeal,
        SealBallot = IsSealed ? 0 : Log.SealBallot,
        Suspect = _suspect,
        Damaged = IsDamaged || _failure is not null,
        Primary = _primary is { IsActive: true },
        CreationId = Log.Chunk.CreationId,
        OnceCommitted = OnceCommitted,
    };

    /// <summary>So many bytes were committed once, whether or not they are still here.</summary>
    private uint OnceCommitted => Math.Max(Committed, Log.CommittedHint);

    private InspectChunkReply Inspect()
    {
        if (IsCutShort())
            TakeRot(ShortDetail);
        var table = Table();
        return new InspectChunkReply
        {
            Status = Status.Ok,
            Report = MakeReport(),
            Index = Log.Chunk.Index,
            Capacity = Log.Chunk.Capacity,
            FileRecords = table.FileRecords,
            FilePayloadBytes = table.FilePayloadBytes,
            Writers = (uint)table.Count,
            FileId = Log.Chunk.File.Value,
        };
    }

    /// <summary>A table that was let go and is wanted again counts among those that are kept.</summary>
    private WriterTable Table()
    {
        bool isAgain = !Log.HasTable;
        var table = Log.Table;
        if (isAgain)
            _services.SealedTables.Add(this, table.Count);
        return table;
    }

    // ---- Ends

    /// <summary>The disk failed, or a bug of ours was met: this replica takes part in nothing more. Others go on without it.</summary>
    private void Fail(Exception e)
    {
        if (_failure is not null)
            return;
        _failure = e.Message;
        _services.Logger.ReplicaFailed(e, Handle);
        _primary?.End();
        _primary = null;
        foreach (var (call, _) in _owedVotes)
            AnswerGone(call);
        _owedVotes.Clear();
        ReportChange();
    }

    private async ValueTask DeleteAsync(DeleteWanted delete)
    {
        if (_promised.Version >= delete.OnlyIfPromisedBelow)
        {
            Refuse(Status.Stale, $"Chunk {Handle} has promised version {_promised.Version}, and was to go only below {delete.OnlyIfPromisedBelow}.");
            return;
        }
        if (delete.OnlyIfCommittedBelow > 0 && OnceCommitted >= delete.OnlyIfCommittedBelow)
        {
            _services.Logger.LongerReplicaKept(Handle, OnceCommitted, delete.OnlyIfCommittedBelow);
            Refuse(Status.Conflict, $"The replica of chunk {Handle} knows {OnceCommitted} bytes to be committed, and was to go only below {delete.OnlyIfCommittedBelow}.");
            return;
        }
        Close();
        try
        {
            if (delete.KeepFiles)
                Log.Files.Dispose();
            else
                await Log.Files.DeleteAsync();
            delete.Ended.TrySetResult(new CommandResult { Status = Status.Ok });
        }
        catch (IOException e)
        {
            Refuse(Status.DiskFailed, e.Message);
        }

        void Refuse(Status status, string detail) => delete.Ended.TrySetResult(new CommandResult { Status = status, Detail = detail });
    }

    private async ValueTask StopAsync(StopWanted stop)
    {
        Close();
        try
        {
            if (_failure is null)
                await Log.Files.FlushAllAsync();
            if (_failure is null && _opened.Task.IsCompletedSuccessfully)
            {
                // What was flushed, be it still there or not: if it is not, the next start must find out.
                Log.WereFlushed(Log.Files.Length);
                await WriteDownAsync();
            }
        }
        catch (DiskFullException e)
        {
            _services.Logger.NotWrittenDown(Handle, e.Message);
        }
        catch (IOException e)
        {
            _services.Logger.ReplicaFailed(e, Handle);
        }
        Log.Files.Dispose();
        stop.Stopped.TrySetResult();
    }

    private void Close()
    {
        _stopped = true;
        _backgroundFlush?.Dispose();
        _rest.Dispose();
        _primary?.End();
        _primary = null;
        foreach (var (call, _) in _owedVotes)
            AnswerGone(call);
        _owedVotes.Clear();
    }

    /// <summary>Answers what nobody will do any more.</summary>
    private void AnswerGone(object what, string? reason = null)
    {
        if (what is not IncomingCall call)
        {
            (what as StopWanted)?.Stopped.TrySetResult();
            (what as DeleteWanted)?.Ended.TrySetResult(new CommandResult { Status = Status.Unavailable, Detail = $"The replica of chunk {Handle} is going away." });
            (what as DistrustWanted)?.Remembered.TrySetResult(_sealRecorded);
            return;
        }
        string detail = reason ?? (_failure is null ? $"The replica of chunk {Handle} is going away." : $"The replica of chunk {Handle} has failed: {_failure}");
        call.Reply(call.Kind switch
        {
            MessageKind.Append or MessageKind.InitWriter or MessageKind.EvictWriter => new AppendReply { Status = AppendStatus.NotPrimary, Detail = detail },
            MessageKind.FindWriter => new FindWriterReply { Status = Status.Unavailable, Detail = detail },
            MessageKind.Prepare or MessageKind.NewView => new Vote { Status = VoteStatus.IoError, Detail = detail },
            MessageKind.Promise => new PromiseReply { Status = Status.DiskFailed, Detail = detail },
            MessageKind.Grant => new GrantReply { Status = Status.Unavailable, Detail = detail },
            MessageKind.SealChunk => new SealChunkReply { Status = Status.Unavailable },
            MessageKind.FetchBase => new FetchBaseReply { Status = Status.Unavailable, Detail = detail },
            _ => (IMessage)new InspectChunkReply { Status = Status.Unavailable },
        });
    }

    private long TimestampsIn(TimeSpan duration) => (long)(duration.TotalSeconds * _services.Time.TimestampFrequency);
}
