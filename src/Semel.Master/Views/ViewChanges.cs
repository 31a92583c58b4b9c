using System.Globalization;
using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.OperationLog;
using Semel.Master.Servers;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master.Views;

/// <summary>
/// Replaces the primary or the members of open chunks. At most one view change runs for a chunk; whoever asks meanwhile joins it. One that nobody waits for, and that cannot go on, is put aside
/// and taken up again, with the version that it has reserved, when somebody asks, when a member comes back, or when the members' time is over.
/// </summary>
internal sealed class ViewChanges(MasterServices services, ServerRegistry servers, ActivityTable activities, Placement placement, Granting granting)
{
    /// <summary>A chunk that nobody wants is left alone after so many primaries did not take over.</summary>
    private const int UnwantedAttempts = 3;

    /// <summary>A member that claims to have promised a version this far above all reserved ones is not believed.</summary>
    private const ulong BelievableGap = 1_000_000;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    private readonly SortedDictionary<ulong, ViewChange> _running = [];
    private readonly SortedSet<ulong> _owed = [];
    private readonly SortedDictionary<ulong, ViewChange> _aside = [];   // of those in _owed that do not run
    private readonly SortedDictionary<ulong, (ulong Version, long Since)> _expectedSeals = [];
    private readonly Slots _slots = new(services.Options.ParallelViewChanges);
    private readonly MemberWaits _waits = new(services, servers);

    public bool IsRunning(Chunk chunk) => _running.ContainsKey(chunk.Handle.Value);

    /// <summary>It could not go on when it was last tried, and nobody asked for it.</summary>
    public bool IsPutAside(Chunk chunk) => _aside.ContainsKey(chunk.Handle.Value);

    /// <summary>Chunks that have no primary and wait for a member to come back, or for somebody who wants them.</summary>
    public int OwedCount => _owed.Count;

    /// <summary>Chunks that cannot go on, as far as was tried: nobody appends to them.</summary>
    public int UnavailableCount => _aside.Values.Concat(_running.Values).Count(c => c.Problem is not null && !IsOver(c.Chunk));

    public IEnumerable<(Chunk Chunk, string Problem)> Unavailable(int atMost) =>
        _aside.Values.Concat(_running.Values).Where(c => c.Problem is not null && !IsOver(c.Chunk)).OrderBy(c => c.Chunk.Handle).Take(atMost).Select(c => (c.Chunk, c.Problem!));

    /// <summary>The chunk has no primary that could serve, as far as the master knows.</summary>
    public bool IsNeeded(Chunk chunk) => IsRunning(chunk) || _owed.Contains(chunk.Handle.Value)
        || (servers.IsDead(chunk.Primary) && !activities.WasGrantedWithin(chunk.File, services.Options.DeadAfter));

    /// <summary>Why the chunk is not available yet.</summary>
    public string ProblemOf(Chunk chunk) => Find(chunk)?.Problem ?? "its primary is being replaced";

    /// <summary>An attempt has failed.</summary>
    public bool HasProblem(Chunk chunk) => Find(chunk)?.Problem is not null;

    /// <summary>
    /// Of a chunk that waits: where its records end, if a member can tell. One that has promised the next version votes for nothing in this one any more; if it knows all of its log to be committed,
    /// then nothing else is or will be, because that takes all members.
    /// </summary>
    public uint? SettledEndOf(Chunk chunk) => chunk.IsSealed || Find(chunk) is not { Problem: not null, Version: var version } change || version <= chunk.Version
        ? null
        : change.Answers.Values.Where(a => !a.Suspect && !a.Damaged && a.Committed == a.Tail).Select(a => (uint?)a.Tail).FirstOrDefault();

    private ViewChange? Find(Chunk chunk) => _running.GetValueOrDefault(chunk.Handle.Value) ?? _aside.GetValueOrDefault(chunk.Handle.Value);

    /// <summary>Begins a view change, or joins the one that runs. Ends when it ends.</summary>
    /// <param name="chunk">Open.</param>
    /// <param name="reason">For people.</param>
    /// <param name="accused">A member that others cannot work with, or that counts as dead.</param>
    /// <param name="lost">A member that has no replica any more.</param>
    /// <param name="avoidPrimary">Clients cannot reach the primary.</param>
    public Task Start(Chunk chunk, string reason, ServerId? accused = null, ServerId? lost = null, bool avoidPrimary = false)
    {
        Invariant.Holds(!chunk.IsSealed);
        bool isNew = !_running.TryGetValue(chunk.Handle.Value, out var change);
        if (isNew)
        {
            if (_aside.Remove(chunk.Handle.Value, out change))
                change.TakeUpAgain();
            else
                services.Logger.ViewChangeBegan((change = new ViewChange(chunk)).Chunk.Handle, reason);
            _running.Add(chunk.Handle.Value, change);
        }
        if (accused is { } member)
        {
            change!.Accused.Add(member);
            _waits.Accuse(chunk, member);
        }
        if (lost is { } loser)
        {
            change!.Lost.Add(loser);
            change.Answers.Remove(loser);
        }
        change!.AvoidPrimary |= avoidPrimary;
        if (isNew)
        {
            change.Ended = RunAsync(change);
            services.Run(change.Ended);
        }
        return change.Ended;
    }

    /// <summary>An operator decided that the chunk goes on with this server's copy alone, whoever else was a member. Null: it does; otherwise why not.</summary>
    public Task<string?> DecideAsync(Chunk chunk, ServerId server)
    {
        _ = Start(chunk, "an operator decided");
        var change = _running[chunk.Handle.Value];
        if (change.Choice is not null)
            return Task.FromResult<string?>($"Another decision about chunk {chunk.Handle} is being carried out.");
        change.Choice = new OperatorChoice(server);
        servers.Changed.Fire();     // it may be waiting
        return change.Choice.Ended.Task;
    }

    /// <summary>A member of these chunks came back: those that wait for one try again.</summary>
    public void MemberCameBack(ServerId member)
    {
        foreach (var change in _running.Values.Concat(_aside.Values))
        {
            // It was another incarnation, or counted as dead. What that one was asked it will not answer.
            change.Accused.Remove(member);
            change.Outstanding.Remove(member);
        }
        foreach (ulong handle in _owed.ToList())
        {
            if (services.State.FindChunk(new ChunkHandle(handle)) is not { IsSealed: false } chunk)
                Forget(handle);
            else if (chunk.Members.Contains(member) && !IsRunning(chunk))
                Start(chunk, $"member {member} came back");
        }
    }

    /// <summary>A member knows that the SEAL is committed. If the primary does not say so soon, it has gone, and its successor will.</summary>
    public void ExpectSeal(Chunk chunk) => _expectedSeals.TryAdd(chunk.Handle.Value, (chunk.Version, services.Now));

    /// <summary>Replaces primaries that owe the report of a SEAL.</summary>
    public void CheckExpectedSeals()
    {
        foreach (var (handle, (version, since)) in _expectedSeals.ToList())
        {
            var chunk = services.State.FindChunk(new ChunkHandle(handle));
            bool isOpen = chunk is { IsSealed: false } && chunk.Version == version;
            if (isOpen && services.Since(since) < services.Options.CallTimeout)
                continue;
            _expectedSeals.Remove(handle);
            if (isOpen)
                Start(chunk!, "it is sealed, but no primary says so");
        }
    }

    /// <summary>Tries again where nobody asks, but a member is there.</summary>
    public void RetryOwed()
    {
        _waits.Prune();
        foreach (ulong handle in _owed.ToList())
        {
            if (services.State.FindChunk(new ChunkHandle(handle)) is not { IsSealed: false } chunk)
                Forget(handle);
            else if (!IsRunning(chunk) && chunk.Members.Any(servers.IsAlive) && MayHaveBecomeBetter(chunk))
                Start(chunk, "it has no primary");
        }
    }

    /// <summary>A chunk that only waits for silent members is not asked about again and again.</summary>
    private bool MayHaveBecomeBetter(Chunk chunk) => !_aside.TryGetValue(chunk.Handle.Value, out var change) || services.Now >= change.NotBefore
        || chunk.Members.Any(m => servers.IsAlive(m) && !change.Answers.ContainsKey(m) && !change.Lost.Contains(m));

    private void Forget(ulong handle)
    {
        _owed.Remove(handle);
        _aside.Remove(handle);
    }

    private static bool IsOver(Chunk chunk) => chunk.IsGone || chunk.IsSealed;

    private async Task RunAsync(ViewChange change)
    {
        var chunk = change.Chunk;
        _owed.Add(chunk.Handle.Value);
        try
        {
            await Task.Yield();
            await MembersArrivedAsync(chunk);
            if (_waits.PauseBefore(change) is var rest && rest > TimeSpan.Zero)
                await Task.Delay(rest, services.Time, services.Stopping);
            int attempts = 0;
            for (var pause = FirstPause; !IsOver(chunk); pause = Longer(pause))
            {
                await services.Standing.ConfirmedAsync(services.Stopping);
                attempts++;
                bool done;
                await _slots.TakeAsync();
                try
                {
                    done = await (change.Choice is { } choice ? TryChoiceAsync(change, choice) : TryOnceAsync(change));
                }
                finally
                {
                    _slots.Return();
                }
                if (done)
                {
                    activities.Of(chunk.File).GrantedAt = services.Now;
                    break;
                }
                if (change.Choice is not null)
                    continue;
                bool isHopeless = change.Version != 0 || attempts >= UnwantedAttempts;
                if (isHopeless && !activities.IsInUse(chunk.File))
                    return;
                await servers.Changed.WaitAsync(services.Jittered(pause), services.Time, services.Stopping);
            }
            _owed.Remove(chunk.Handle.Value);
        }
        finally
        {
            _running.Remove(chunk.Handle.Value);
            change.Choice?.Ended.TrySetResult($"Chunk {chunk.Handle} has got on by itself meanwhile.");
            change.Choice = null;
            if (_owed.Contains(chunk.Handle.Value) && !IsOver(chunk))
                _aside[chunk.Handle.Value] = change;
        }
    }

    /// <summary>
    /// After a start of the whole cluster its servers come one by one. Waiting a moment for all of them keeps chunks from being ended, and copied again, because a member was
    /// not among the first.
    /// </summary>
    private async Task MembersArrivedAsync(Chunk chunk)
    {
        while (!IsOver(chunk) && chunk.Members.Any(servers.MayStillCome))
            await servers.Changed.WaitAsync(FirstPause, services.Time, services.Stopping);
    }

    /// <summary>
    /// One attempt. 1: a version that nobody else ever uses is reserved, and the members promise to take part in nothing below it. 2: those that
    /// answered are waited for. 3: the configuration is decided, with one log record. 4: its primary is told. False: nobody usable answered (the
    /// next attempt goes on with the same version) or the new primary did not take over (the next attempt begins anew).
    /// </summary>
    private async Task<bool> TryOnceAsync(ViewChange change)
    {
        var chunk = change.Chunk;
        if (IsOver(chunk))
            return true;

        // Step 1: reserve the version, durably, before the first promise leaves.
        if (change.Version == 0 || change.PromisedElsewhere >= change.Version)
        {
            change.Version = Math.Max(chunk.Reserved, change.PromisedElsewhere) + 1;
            change.Answers = [];
            services.Journal.Append(new LogEntry { VersionReserved = new VersionReserved { Handle = chunk.Handle.Value, Version = change.Version } });
            await services.Journal.DurableAsync();
        }
        change.DropOldAnswers(servers);
        foreach (var member in chunk.Members)
        {
            if (!change.Answers.ContainsKey(member) && change.Outstanding.TryAdd(member, ++change.Asked))
                services.Run(AskAsync(change, member, change.Version, change.Answers));
        }

        // Step 2: wait for the members.
        await GatherAsync(change);
        if (IsOver(chunk))
            return true;
        if (change.PromisedElsewhere >= change.Version || !services.Standing.IsConfirmed)
            return false;

        // Step 3: decide.
        bool allowSuspects = services.Options.AllowUncleanRecovery && chunk.File.Settings.Durability == Durability.Memory;
        var awaited = _waits.Awaited(change);
        var decision = ViewDecision.Decide(
            chunk.Members, chunk.Primary, change.Answers, change.Accused, change.AvoidPrimary, _waits.FloorOf(chunk), awaited.Keys.ToHashSet(), allowSuspects);
        if (decision is null)
        {
            bool isNews = change.Problem is null;
            change.Problem = Describe(change, awaited);
            change.NotBefore = services.Now + services.TimestampsIn(awaited.Values.DefaultIfEmpty().Min());
            if (isNews)
                services.Logger.ChunkUnavailable(chunk.Handle, change.Problem);
            return false;
        }
        _waits.IncludedAgain(chunk, change.Accused.Where(decision.Members.Contains));
        if (change.Answers[decision.Primary].Suspect)
            services.Logger.UncleanRecovery(chunk.Handle);
        var configured = new Configured { Handle = chunk.Handle.Value, Version = change.Version, Primary = decision.Primary.Value };
        configured.Members.AddRange(decision.Members.Select(m => m.Value));
        services.Journal.Append(new LogEntry { Configured = configured });
        await services.Journal.DurableAsync();

        // Step 4: the primary takes over.
        bool seal = IsBetterSealed(chunk);
        services.Logger.Configured(chunk.Handle, chunk.Version, chunk.Members, chunk.Primary, seal);
        string? problem = await granting.GrantAsync(chunk, seal, change.Answers[decision.Primary]);
        if (problem is null)
            return true;
        services.Logger.GrantRefused(chunk.Primary, chunk.Handle, chunk.Version, problem);
        change.Problem = $"chunk server {chunk.Primary} should have become its primary, but {problem}";
        change.Accused.Clear();
        change.Accused.Add(chunk.Primary);
        (change.Version, change.AvoidPrimary) = (0, false);
        return false;
    }

    /// <summary>
    /// What the operator decided. 1: a version above all that was ever promised. 2: the server promises it, and says what it has. 3: the decision is logged. 4: it takes over, and ends the chunk.
    /// </summary>
    private async Task<bool> TryChoiceAsync(ViewChange change, OperatorChoice choice)
    {
        var chunk = change.Chunk;
        if (IsOver(chunk))
            return true;

        // Step 1
        var server = servers.Get(choice.Server);
        ulong version = Math.Max(chunk.Reserved, change.PromisedElsewhere) + 1;
        (change.Version, change.Answers) = (version, []);
        services.Journal.Append(new LogEntry { VersionReserved = new VersionReserved { Handle = chunk.Handle.Value, Version = version } });
        await services.Journal.DurableAsync();

        // Step 2
        var answers = change.Answers;
        await AskAsync(change, choice.Server, version, answers);
        if (IsOver(chunk))
            return true;
        if (!answers.TryGetValue(choice.Server, out var promise))
        {
            change.Version = 0;
            if (change.PromisedElsewhere >= version)
                return false;       // once more, above that
            choice.Ended.TrySetResult($"Chunk server {choice.Server} at {server.Address} {change.Refusals[choice.Server]}.");
            change.Choice = null;
            return false;
        }

        // Step 3
        var decided = new Configured { Handle = chunk.Handle.Value, Version = version, Primary = choice.Server.Value, ByOperator = true };
        decided.Members.Add(choice.Server.Value);
        services.Journal.Append(new LogEntry { Configured = decided });
        await services.Journal.DurableAsync();
        services.Logger.OperatorDecided(chunk.Handle, chunk.Version, choice.Server, server.Address, promise.Tail);

        // Step 4
        string? problem = await granting.GrantAsync(chunk, seal: true, promise, byOperator: true);
        (change.Version, change.Choice, change.AvoidPrimary) = (0, null, false);
        change.Accused.Clear();
        choice.Ended.TrySetResult(problem is null ? null : $"Chunk server {choice.Server} at {server.Address} did not take over: {problem}. The decision stands; decide again to repeat it.");
        return problem is null;
    }

    private async Task AskAsync(ViewChange change, ServerId member, ulong version, SortedDictionary<ServerId, PromiseReply> answers)
    {
        var request = new PromiseRequest
        {
            MasterEpoch = services.State.Epoch,
            MasterNonce = services.State.Nonce,
            Handle = change.Chunk.Handle.Value,
            Version = version,
            ServerId = member.Value,
        };
        int question = change.Asked;
        var server = servers.Get(member);
        var link = services.Wire.LinkTo(server.Address);
        ulong incarnation = server.Incarnation;
        // As of now: what the server answers may be older than what it says elsewhere meanwhile.
        bool isAdmitted = services.State.Servers.TryGetValue(member, out var admitted);
        var result = await link.CallAsync(MessageKind.Promise, request, Payload.Empty, services.Options.CallTimeout, services.Stopping);
        result.Payload.Release();
        if (change.Outstanding.TryGetValue(member, out int last) && last == question)
            change.Outstanding.Remove(member);
        change.RefusedSince.TryAdd(member, services.Now);
        if (!result.IsAnswered)
            change.Refusals[member] = $"does not answer ({result.Outcome}: {result.Detail})";
        else
        {
            var reply = result.Answer<PromiseReply>();
            if (reply.Status is Status.Ok or Status.Stale)
                server.AnsweredAt = services.Now;
            change.Refusals[member] = $"answered {reply.Status}: {reply.Detail}";
            // An older copy of the data directory was put back, and the server has not heard so yet.
            if (isAdmitted && !admitted.IsContinuedBy(reply.Generation))
                reply.Suspect = true;
            if (reply.Status == Status.Ok)
            {
                answers[member] = reply;
                change.Incarnations[member] = incarnation;
                change.RefusedSince.Remove(member);
                change.Lost.Remove(member);
            }
            // Before it has reported all that it has, its replicas may just not be open yet.
            else if (reply.Status == Status.NotFound && server is { IsAlive: true, HasReported: true } && server.Incarnation == incarnation)
                change.Lost.Add(member);
            else if (reply.Status == Status.Stale && new Ballot(reply.Promised).Version < change.Chunk.Reserved + BelievableGap)
                change.PromisedElsewhere = Math.Max(change.PromisedElsewhere, new Ballot(reply.Promised).Version);
        }
        change.Answered.Fire();
    }

    /// <summary>
    /// Ends when every member has answered or failed; or when a usable one has answered, and there are enough answers and all others are accused or dead, or the rest had
    /// their time; or when nobody answered for as long as a call may take.
    /// </summary>
    private async Task GatherAsync(ViewChange change)
    {
        long began = services.Now;
        long? firstUsable = null;
        while (change.Outstanding.Count > 0 && !IsOver(change.Chunk))
        {
            var limit = services.Options.CallTimeout - services.Since(began);
            if (change.Answers.Any(a => !a.Value.Suspect && !a.Value.Damaged && !change.Accused.Contains(a.Key)))
            {
                firstUsable ??= services.Now;
                // Below the floor nothing is gained by haste.
                if (change.Outstanding.Keys.All(m => change.Accused.Contains(m) || servers.IsDead(m)) && change.Answers.Count >= _waits.FloorOf(change.Chunk))
                    return;
                var rest = services.Options.PromiseWait - services.Since(firstUsable.Value);
                limit = rest < limit ? rest : limit;
            }
            if (limit <= TimeSpan.Zero)
                return;
            await change.Answered.WaitAsync(limit, services.Time, services.Stopping);
        }
    }

    /// <summary>
    /// The chunk has lost members, and the file would have more of them in a new chunk; or it has too few to take records, and can only end.
    /// </summary>
    private bool IsBetterSealed(Chunk chunk)
    {
        int wanted = chunk.File.Settings.Replicas;
        if (chunk.Members.Count < Math.Min(services.Options.MinMembers, wanted))
            return true;
        if (chunk.Members.Count >= wanted || placement.SparesFor(chunk.Members, chunk.File.Settings.ChunkCapacity) == 0)
            return false;
        var activity = activities.Of(chunk.File);
        if (activity.ShortSealAt is { } last && services.Since(last) < services.Options.ShortSealPause)
            return false;
        activity.ShortSealAt = services.Now;
        return true;
    }

    private string Describe(ViewChange change, SortedDictionary<ServerId, TimeSpan> awaited)
    {
        var chunk = change.Chunk;
        string members = string.Join("; ", chunk.Members.Select(m => $"{m} at {servers.Get(m).Address} {Standing(change, m)}"));
        if (awaited.Keys.All(change.Answers.ContainsKey) || !change.Answers.Values.Any(a => !a.Suspect && !a.Damaged))
        {
            return $"none of its members can go on ({members}); start those that are missing. "
                + $"If they never come back, `semel chunk recover {chunk.Handle}` shows what is left, and decides";
        }
        var longest = awaited.Where(a => !change.Answers.ContainsKey(a.Key)).Max(a => a.Value);
        var until = services.Time.GetUtcNow() + longest;
        return string.Create(CultureInfo.InvariantCulture, $"it would have fewer than {_waits.FloorOf(chunk)} members ({members}). Those that may have acknowledged records are waited for until ")
            + until.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture) + $" (`member_grace`); `semel chunk recover {chunk.Handle}` decides at once";
    }

    private static string Standing(ViewChange change, ServerId member)
    {
        if (change.Lost.Contains(member))
            return "has lost its replica";
        if (!change.Answers.TryGetValue(member, out var answer))
            return change.Refusals.GetValueOrDefault(member, "has not answered yet");
        return answer.Damaged ? "has a damaged replica" : answer.Suspect ? "may have forgotten acknowledged records" : "answers";
    }

    private TimeSpan Longer(TimeSpan pause) => pause * 2 < services.Options.LongestRetryPause ? pause * 2 : services.Options.LongestRetryPause;
}
