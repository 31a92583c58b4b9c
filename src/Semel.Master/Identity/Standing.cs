using Microsoft.Extensions.Logging;
using Semel.Master.OperationLog;
using Semel.Master.Servers;
using Semel.Protocol;
using Semel.Protocol.Identity;

namespace Semel.Master.Identity;

/// <summary>
/// Whether this master may give anything away: handles, files, writers, grants, commands, leases. Its directory may be an older copy of
/// itself, its log may have lost its last entries, or another master may run on a copy; only the chunk servers can tell.
/// <code>
/// Asking --enough servers have reported all they have--> Elected --enough have accepted it durably--> Confirmed
///    |                                                      |                                              |
///    +------------------------------------------------------+----a server has seen what the log lacks------+--> Refuted
///    ^                                                                                                             |
///    +--------------------------------a new epoch, in which the operator accepts the loss--------------------------+
/// </code>
/// A refuted master stays so until somebody starts the right one, or lets this one go on.
/// </summary>
/// <remarks>
/// Enough: most of those that the log names; or some, and for a while nobody had anything against it. Most, because two masters cannot both
/// have that: a server that has accepted one refuses the other. Less than that is enough when the others are silent, because a cluster must
/// go on with one server that is left; those that answer are asked whether they hear from another master. Servers are asked to accept it
/// only when it is elected: what they have accepted speaks against every other master for ever, also against the right one.
/// </remarks>
internal sealed class Standing(MasterOptions options, MasterState state, OperationJournal journal, TimeProvider time, Random random, ILogger logger)
{
    private readonly SortedSet<ServerId> _unconfirmed = [];    // named by the log when the epoch began; have not accepted this master
    private readonly SortedSet<ServerId> _reported = [];       // of these; everything that they have is known
    private readonly SortedDictionary<ServerId, string> _objections = [];
    private int _known;
    private bool _asksWhoeverComesFirst;                       // the log names no server: one that is not known yet
    private long _beganAt;
    private bool _isElected;
    private bool _isConfirmed;
    private readonly SortedSet<ServerId> _witnesses = [];      // servers whose evidence was told to the operator

    /// <summary>Null: nothing speaks against this master. Otherwise what a server has seen that its log lacks.</summary>
    public string? Refutation { get; private set; }

    /// <summary>Servers may accept this master durably.</summary>
    public bool IsElected => _isElected && Refutation is null;

    /// <summary>Also if it was refuted since: servers may have accepted it. Only for tests.</summary>
    internal bool WasElected => _isElected;

    public bool IsConfirmed => _isConfirmed && Refutation is null;

    /// <summary>Fires when the state may have changed.</summary>
    public Pulse Changed { get; } = new();

    /// <summary>Why nothing is given away at the moment; null when it is.</summary>
    public string? Withholds => Refutation ?? (_isConfirmed ? null
        : $"The master has just started and gives nothing away before its chunk servers have confirmed that its operation log is whole: "
            + (_asksWhoeverComesFirst ? "it names none, and none has registered yet" : $"{Confirmed} of {_known} have")
            + (_objections.Count > 0 ? $"; {_objections.First().Value}" : "."));

    /// <summary>Begins the next epoch in the log. Nobody may hear of it before it is durable.</summary>
    /// <param name="above">Epochs that others have seen; the new one is higher.</param>
    /// <param name="acceptsLoss">The operator gives up what is not in the log.</param>
    public void BeginEpoch(ulong above = 0, bool acceptsLoss = false)
    {
        ulong epoch = Math.Max(state.Epoch, above) + 1;
        if (epoch > IdRange.MaxEpoch)
            throw new IOException($"The epoch {epoch} of the master is beyond {IdRange.MaxEpoch}: no id can carry it.");
        bool isFirst = state.Epoch == 0;
        journal.Append(new LogEntry { EpochBegun = new EpochBegun { Epoch = epoch, Nonce = (ulong)random.NextInt64(1, long.MaxValue), AcceptsLoss = acceptsLoss } });
        _unconfirmed.Clear();
        _unconfirmed.UnionWith(state.Servers.Keys);
        _reported.Clear();
        _objections.Clear();
        _beganAt = time.GetTimestamp();
        // Nobody can hold anything against the first master of a cluster. A later one may have an old log, also if that names no server.
        _isElected = _isConfirmed = isFirst;
        _asksWhoeverComesFirst = !isFirst && _unconfirmed.Count == 0;
        _known = _asksWhoeverComesFirst ? 1 : _unconfirmed.Count;
        Changed.Fire();
    }

    /// <summary>Compares what a server remembers with the log. Null: the log has it all, or the operator accepts that it has not.</summary>
    public string? Examine(ServerId server, string address, SeenMaster seen) =>
        state.Epochs.LackOf(seen, journal.LastEntry) is { } lack ? TakeLack(server, address, lack, seen.Epoch) : null;

    /// <summary>A server has the replica of a chunk that was in use, and the log has never had such a chunk.</summary>
    public void TakeUnknownReplica(ServerId server, string address, ChunkHandle handle)
    {
        if (IdRange.EpochOf(handle.Value) is var epoch && epoch >= state.Epochs.AcceptedBelow && epoch <= IdRange.MaxEpoch)
            TakeLack(server, address, $"it has a replica of chunk {handle} that was in use, and this log never had that chunk", epoch);
    }

    /// <summary>The server has registered and reported everything that it has; what it knows was compared with the log.</summary>
    public void TakeReported(ServerId server)
    {
        _objections.Remove(server);
        if (_asksWhoeverComesFirst)
        {
            _asksWhoeverComesFirst = false;
            _unconfirmed.Add(server);
        }
        if (_unconfirmed.Contains(server) && _reported.Add(server))
            Decide();
    }

    /// <summary>The server has accepted this master and serves no other, durably.</summary>
    public void Confirm(ServerId server)
    {
        _objections.Remove(server);
        _reported.Remove(server);
        if (_unconfirmed.Remove(server))
            Decide();
    }

    /// <summary>Another server has its address and data: nobody waits for it.</summary>
    public void TakeReplaced(ServerId server)
    {
        if (!_unconfirmed.Remove(server))
            return;
        _known--;
        _reported.Remove(server);
        _objections.Remove(server);
        Decide();
    }

    /// <summary>What a server that was asked has against this master; null: nothing.</summary>
    public void TakeObjection(ServerId server, string? objection)
    {
        if (objection is null || !_unconfirmed.Contains(server))
        {
            _objections.Remove(server);
            return;
        }
        _objections[server] = objection;
        _reported.Remove(server);       // it has gone over to the other one
    }

    /// <summary>Looks whether the time has come to go on with fewer than most.</summary>
    public void Decide()
    {
        _isElected |= IsEnough(Confirmed + _reported.Count);
        if (_isConfirmed || !_isElected || !IsEnough(Confirmed))
            return;
        _isConfirmed = true;
        if (_known > 0)
            logger.MasterConfirmed(Confirmed, _known);
        Changed.Fire();
    }

    private int Confirmed => _asksWhoeverComesFirst ? 0 : _known - _unconfirmed.Count;

    private bool IsEnough(int servers) =>
        _known == 0 || servers * 2 > _known || (servers > 0 && _objections.Count == 0 && time.GetElapsedTime(_beganAt) >= options.DeadAfter);

    /// <summary>Waits until this master may give things away, but not longer than the limit. Null: it may. Otherwise why not.</summary>
    public async Task<string?> WithheldAsync(TimeSpan limit, CancellationToken cancellation)
    {
        long began = time.GetTimestamp();
        while (!IsConfirmed && Refutation is null && limit - time.GetElapsedTime(began) is var rest && rest > TimeSpan.Zero)
            await Changed.WaitAsync(rest, time, cancellation);
        return Withholds;
    }

    /// <summary>Waits until this master may give things away, for as long as that takes.</summary>
    public async Task ConfirmedAsync(CancellationToken cancellation)
    {
        while (!IsConfirmed)
            await Changed.WaitAsync(options.DeadAfter, time, cancellation);
    }

    private string? TakeLack(ServerId server, string address, string lack, ulong epoch)
    {
        if (options.AcceptLostEntries)
        {
            ulong before = state.Epoch, last = journal.LastEntry;
            BeginEpoch(epoch, acceptsLoss: true);
            Refutation = null;
            logger.LostEntriesAccepted(server, address, lack, before, last, state.Epoch);
            return null;
        }
        if (_witnesses.Add(server))
            logger.LogIsOlder(server, address, lack);
        Refutation ??= $"This master gives nothing away, because its operation log lacks what chunk server {server} at {address} has seen: {lack}. "
            + "The data directory is an older copy, has lost its last entries, or another master runs on a copy of it. Start the right one; or, if there is none any more, "
            + "start this one with accept_lost_entries, which gives up what it lacks.";
        Changed.Fire();
        return Refutation;
    }
}
