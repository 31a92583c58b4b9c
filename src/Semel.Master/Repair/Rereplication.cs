using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.Servers;
using Semel.Protocol;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Repair;

/// <summary>
/// Keeps as many good replicas of each sealed chunk as its file wants, as far as there are servers: copies where some are missing for longer than a grace time,
/// and tells members that missed the primary's last word that their chunk is sealed.
/// </summary>
internal sealed class Rereplication(MasterServices services, ServerRegistry servers, Placement placement)
{
    private static readonly TimeSpan ConfirmAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PauseBeforeNext = TimeSpan.FromSeconds(5);
    private const int ConfirmTries = 8;
    private const int Several = 2;

    /// <summary>Chunks that are looked at when a copy has ended; <see cref="Tick"/> looks at all.</summary>
    private const int Candidates = 64;

    private readonly SortedDictionary<ulong, Lack> _lacking = [];
    private readonly SortedSet<(int Left, long Since, ulong Handle)> _order = [];   // of _lacking: one replica left before several, then who has waited longest
    private readonly SortedDictionary<ulong, ServerId> _clones = [];
    private readonly SortedDictionary<ulong, Unconfirmed> _unconfirmed = [];
    private readonly SortedDictionary<ulong, SortedSet<ServerId>> _outdated = [];

    /// <summary>Sealed chunks with fewer good replicas on living servers than there could be.</summary>
    public int LackingCount => _lacking.Count;

    public void WasSealed(Chunk chunk)
    {
        Invariant.Holds(chunk.IsSealed);
        _unconfirmed[chunk.Handle.Value] = new Unconfirmed([.. chunk.Members], services.Now);
        Check(chunk);
    }

    /// <summary>A member does not say that its replica is sealed: what it says is older than the SEAL, or it missed the primary's last word.</summary>
    public void IsUnconfirmed(Chunk chunk, ServerId member)
    {
        Invariant.Holds(chunk.IsSealed);
        if (!_unconfirmed.TryGetValue(chunk.Handle.Value, out var unconfirmed))
            _unconfirmed.Add(chunk.Handle.Value, unconfirmed = new Unconfirmed([], services.Now));
        unconfirmed.Members.Add(member);
    }

    /// <summary>The server was heard to have a good replica of a sealed chunk.</summary>
    public void HasGood(Chunk chunk, ServerId server)
    {
        Invariant.Holds(chunk.IsSealed);
        chunk.Replicas = services.State.Share(chunk.Replicas.With(server));
        if (_unconfirmed.TryGetValue(chunk.Handle.Value, out var unconfirmed) && unconfirmed.Members.Remove(server) && unconfirmed.Members.Count == 0)
            _unconfirmed.Remove(chunk.Handle.Value);
        Check(chunk);
    }

    /// <summary>The server has no good replica of a sealed chunk any more.</summary>
    public void HasNone(Chunk chunk, ServerId server)
    {
        Invariant.Holds(chunk.IsSealed);
        chunk.Replicas = services.State.Share(chunk.Replicas.Without(server));
        if (_unconfirmed.TryGetValue(chunk.Handle.Value, out var unconfirmed))
            unconfirmed.Members.Remove(server);
        Check(chunk);
    }

    /// <summary>The server has a replica that is damaged, or that the chunk went on without. It goes when nobody can need it any more.</summary>
    public void HasOutdated(Chunk chunk, ServerId server)
    {
        if (!_outdated.TryGetValue(chunk.Handle.Value, out var holders))
            _outdated.Add(chunk.Handle.Value, holders = []);
        holders.Add(server);
    }

    /// <summary>Good replicas on servers that are alive.</summary>
    public int Live(Chunk chunk) => chunk.Replicas.Count(servers.IsAlive);

    /// <summary>Servers came or went: every chunk may lack replicas now, or none any more.</summary>
    public void CheckAll()
    {
        foreach (var chunk in services.State.Chunks())
            Check(chunk);
    }

    /// <summary>The server does not work on its copies any more.</summary>
    public void ServerGone(ServerId server)
    {
        foreach (ulong handle in _clones.Where(c => c.Value == server).Select(c => c.Key).ToList())
            _clones.Remove(handle);
    }

    /// <summary>Room for the next one, which begins at once: many small chunks must not wait for the clock.</summary>
    public void CloneEnded(ChunkHandle handle)
    {
        _clones.Remove(handle.Value);
        // Also after a success: the report of the new replica comes before it or soon after.
        if (_lacking.TryGetValue(handle.Value, out var lack))
            lack.NotBefore = services.Now + (long)(PauseBeforeNext.TotalSeconds * services.Time.TimestampFrequency);
        OrderClones(_order.GetViewBetween((1, 0, 0), (Several, long.MaxValue, ulong.MaxValue)).Take(Candidates));
    }

    public void Tick()
    {
        ConfirmSeals();
        DropOutdated();
        OrderClones(_order);
    }

    private void OrderClones(IEnumerable<(int Left, long Since, ulong Handle)> candidates)
    {
        foreach (var (_, _, handle) in candidates.ToList())
        {
            if (_clones.Count >= services.Options.ParallelClones)
                return;
            if (!_lacking.TryGetValue(handle, out var lack))
                continue;
            if (services.State.FindChunk(new ChunkHandle(handle)) is not { IsSealed: true } chunk)
                Forget(handle);
            else if (!_clones.ContainsKey(handle) && services.Since(lack.Since) >= services.Options.RepairGrace && services.Now >= lack.NotBefore)
                Clone(chunk);
        }
    }

    /// <summary>What an outdated replica holds may be all that is left of some records: it goes only when the chunk has all the good replicas that it can have.</summary>
    private void DropOutdated()
    {
        foreach (var (handle, holders) in _outdated.ToList())
        {
            var chunk = services.State.FindChunk(new ChunkHandle(handle));
            if (chunk is not null && (!chunk.IsSealed || _lacking.ContainsKey(handle) || Live(chunk) == 0))
                continue;
            _outdated.Remove(handle);
            foreach (var holder in holders.Where(h => chunk is null || !chunk.Replicas.Contains(h)))
                servers.Get(holder).Commands.TryAdd(Order.Delete(new ChunkHandle(handle), chunk is null ? ulong.MaxValue : chunk.Reserved + 1));
        }
    }

    private void Check(Chunk chunk)
    {
        if (!chunk.IsSealed || chunk.IsGone)
            return;
        int live = Live(chunk);
        ulong handle = chunk.Handle.Value;
        if (live >= Math.Min(chunk.File.Settings.Replicas, servers.AliveCount))
        {
            Forget(handle);
            return;
        }
        if (_lacking.TryGetValue(handle, out var lack))
            _order.Remove((lack.Left, lack.Since, handle));
        else
            _lacking.Add(handle, lack = new Lack(services.Now));
        lack.Left = Math.Min(live, Several);
        _order.Add((lack.Left, lack.Since, handle));
    }

    private void Forget(ulong handle)
    {
        if (_lacking.Remove(handle, out var lack))
            _order.Remove((lack.Left, lack.Since, handle));
    }

    private void Clone(Chunk chunk)
    {
        var sources = chunk.Replicas.Where(servers.IsAlive).ToList();
        if (sources.Count == 0)
        {
            var lack = _lacking[chunk.Handle.Value];
            if (!lack.Complained && !servers.IsRecovering)
                services.Logger.NoReplicaLeft(chunk.Handle);
            lack.Complained |= !servers.IsRecovering;
            return;
        }
        var unfit = servers.All
            .Where(s => chunk.Replicas.Contains(s.Id) || s.Commands.Has(chunk.Handle) || !s.HasReported
                || _clones.Values.Count(t => t == s.Id) >= services.Options.ParallelClonesPerServer)
            .Select(s => s.Id).ToHashSet();
        if (placement.Choose(1, chunk.File.Settings.ChunkCapacity, ServerSet.Empty, unfit) is not [var target])
            return;
        var clone = new CloneChunk
        {
            Handle = chunk.Handle.Value,
            FileId = chunk.File.Id.Value,
            Index = chunk.Index,
            Version = chunk.Version,
            Length = chunk.SealedLength,
            Capacity = chunk.File.Settings.ChunkCapacity,
            Durability = chunk.File.Settings.Durability,
            CreationId = chunk.CreationId,
        };
        clone.Sources.AddRange(sources.Select(servers.Address));
        if (!target.Commands.TryAdd(Order.CopyHere(clone)))
            return;
        _clones.Add(chunk.Handle.Value, target.Id);
        services.Logger.CloneOrdered(chunk.Handle, target.Id, sources.Count, chunk.File.Settings.Replicas);
    }

    /// <summary>A member that was cut off at the very end holds all frames, but does not know that the last one is committed.</summary>
    private void ConfirmSeals()
    {
        foreach (var (handle, unconfirmed) in _unconfirmed.ToList())
        {
            if (services.Since(unconfirmed.Since) < ConfirmAfter * (1 + (unconfirmed.Tries * unconfirmed.Tries)))
                continue;
            if (services.State.FindChunk(new ChunkHandle(handle)) is not { } chunk)
            {
                _unconfirmed.Remove(handle);
                continue;
            }
            if (++unconfirmed.Tries > ConfirmTries)
            {
                _unconfirmed.Remove(handle);
                GiveUp(chunk, unconfirmed.Members.Where(servers.IsAlive).ToList());
                continue;
            }
            foreach (var member in unconfirmed.Members.Where(servers.IsAlive))
                servers.Get(member).Commands.TryAdd(Order.ConfirmSeal(chunk.Handle, chunk.Version, chunk.SealedLength));
        }
    }

    /// <summary>Told again and again, they still do not have all of the chunk. They are replaced, if somebody has.</summary>
    private void GiveUp(Chunk chunk, List<ServerId> members)
    {
        if (members.Count == 0 || !chunk.Replicas.Any(r => servers.IsAlive(r) && !members.Contains(r)))
            return;
        foreach (var member in members)
        {
            services.Logger.ReplicaDamaged(chunk.Handle, member);
            HasNone(chunk, member);
            HasOutdated(chunk, member);
        }
    }

    private sealed class Lack(long since)
    {
        public long Since => since;

        /// <summary>Good replicas on living servers: none, one, or <see cref="Several"/>.</summary>
        public int Left { get; set; }
        public long NotBefore { get; set; }
        public bool Complained { get; set; }
    }

    private sealed class Unconfirmed(SortedSet<ServerId> members, long since)
    {
        public SortedSet<ServerId> Members => members;
        public long Since => since;
        public int Tries { get; set; }
    }
}
