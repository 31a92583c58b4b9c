using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.Garbage;
using Semel.Master.Servers;
using Semel.Protocol;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Repair;

/// <summary>
/// Keeps as many good replicas of each sealed chunk as its file wants, as far as there are servers: copies where some are missing for
/// longer than a grace time, and tells members that missed the primary's last word that their chunk is sealed.
/// </summary>
internal sealed class Rereplication(MasterServices services, ServerRegistry servers, Placement placement, LossProofs proofs)
{
    private static readonly TimeSpan ConfirmAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PauseBeforeNext = TimeSpan.FromSeconds(5);
    private const int ConfirmTries = 8;
    private const int Several = 2;
    private const int MostDoublings = 5;

    /// <summary>Chunks that are looked at when a copy has ended; <see cref="Tick"/> looks at all.</summary>
    private const int Candidates = 64;

    private readonly SortedDictionary<ulong, Lack> _lacking = [];
    private readonly SortedSet<(int Left, long Since, ulong Handle)> _order = [];   // of _lacking: one replica left before several, then who has waited longest
    private readonly SortedDictionary<ulong, ServerId> _clones = [];
    private readonly SortedDictionary<ulong, Unconfirmed> _unconfirmed = [];
    private readonly SortedDictionary<ulong, SortedDictionary<ServerId, Outdated>> _outdated = [];
    private readonly SortedDictionary<(ulong Handle, ServerId Server), Refusal> _refusals = [];

    /// <summary>Sealed chunks with fewer good replicas on living servers than there could be.</summary>
    public int LackingCount => _lacking.Count;

    public void WasSealed(Chunk chunk)
    {
        Invariant.Holds(chunk.IsSealed);
        _unconfirmed[chunk.Handle.Value] = new Unconfirmed([.. chunk.Members], services.Now);
        Check(chunk);
    }

    /// <summary>
    /// A member does not say that its replica is sealed: what it says is older than the SEAL, or it missed the primary's last word.
    /// </summary>
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

    /// <summary>
    /// The server has a replica that is damaged, or that the chunk went on without. It goes when nobody can need it any more.
    /// </summary>
    /// <param name="chunk">Its chunk.</param>
    /// <param name="server">Whose it is.</param>
    /// <param name="tail">Where its frames end, as far as they verify.</param>
    /// <param name="nothingVerifies">It is damaged from its first byte: what it says of itself counts for nothing.</param>
    public void HasOutdated(Chunk chunk, ServerId server, uint tail, bool nothingVerifies = false)
    {
        if (!_outdated.TryGetValue(chunk.Handle.Value, out var holders))
            _outdated.Add(chunk.Handle.Value, holders = []);
        holders[server] = new Outdated(tail, nothingVerifies);
    }

    /// <summary>
    /// The operator decided for a copy that has fewer frames than this one. Whether the others were acknowledged nobody knows, and this may
    /// be all that is left of them.
    /// </summary>
    private bool IsGivenUp(Chunk chunk, ServerId server) =>
        chunk is { IsDecided: true, IsSealed: true } && _outdated.TryGetValue(chunk.Handle.Value, out var holders)
        && holders.TryGetValue(server, out var outdated) && outdated.Tail > chunk.RecordsEnd && !chunk.Replicas.Contains(server);

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
        foreach (var key in _refusals.Keys.Where(k => k.Server == server).ToList())
            _refusals.Remove(key);      // whatever was in its way may be gone
    }

    /// <summary>Room for the next one, which begins at once: many small chunks must not wait for the clock.</summary>
    public void CloneEnded(ChunkHandle handle, ServerId server, bool done)
    {
        _clones.Remove(handle.Value);
        if (!done)
        {
            // Others are tried at once; this one not again for a while, and each time for a longer one.
            if (!_refusals.TryGetValue((handle.Value, server), out var refusal))
                _refusals.Add((handle.Value, server), refusal = new Refusal());
            refusal.Until = services.Now + services.TimestampsIn(PauseBeforeNext * (1 << Math.Min(refusal.Count++, MostDoublings)));
        }
        // The report of the new replica comes before the result or soon after.
        else if (_lacking.TryGetValue(handle.Value, out var lack))
            lack.NotBefore = services.Now + services.TimestampsIn(PauseBeforeNext);
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

    /// <summary>
    /// What an outdated replica holds may be all that is left of some records: it goes only when the chunk has all the good replicas that
    /// its file wants, on servers that are alive, and only if it knows no more bytes to be committed than the chunk has. Where there is no
    /// other server, the copy takes its place.
    /// </summary>
    private void DropOutdated()
    {
        foreach (var (handle, holders) in _outdated.ToList())
        {
            var chunk = services.State.FindChunk(new ChunkHandle(handle));
            if (chunk is not null && (!chunk.IsSealed || Live(chunk) < chunk.File.Settings.Replicas))
                continue;
            foreach (var (holder, outdated) in holders.ToList())
            {
                if (chunk is not null && !servers.IsAlive(holder))
                    continue;       // when it comes back, others may have gone
                if (chunk is not null && IsGivenUp(chunk, holder))
                    continue;       // for ever, unless the file is deleted
                holders.Remove(holder);
                if (chunk is null)
                    servers.Get(holder).Commands.TryAdd(Order.Delete(new ChunkHandle(handle), ulong.MaxValue));
                else if (!chunk.Replicas.Contains(holder) && !proofs.Has(chunk.Handle, holder))
                {
                    uint onlyIfCommittedBelow = outdated.NothingVerifies ? 0 : chunk.SealedLength + 1;
                    servers.Get(holder).Commands.TryAdd(Order.Delete(chunk.Handle, chunk.Reserved + 1, onlyIfCommittedBelow));
                }
            }
            if (holders.Count == 0)
                _outdated.Remove(handle);
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
        if (!_lacking.Remove(handle, out var lack))
            return;
        _order.Remove((lack.Left, lack.Since, handle));
        foreach (var key in _refusals.Keys.Where(k => k.Handle == handle).ToList())
            _refusals.Remove(key);
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
                || proofs.Has(chunk.Handle, s.Id) || IsGivenUp(chunk, s.Id)
                || (_refusals.TryGetValue((chunk.Handle.Value, s.Id), out var refusal) && services.Now < refusal.Until)
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
                servers.Get(member).Commands.TryAdd(Order.ConfirmSeal(chunk.Handle, chunk.Version, chunk.SealedLength, chunk.SealBallot));
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
            HasOutdated(chunk, member, tail: 0);
        }
    }

    private readonly record struct Outdated(uint Tail, bool NothingVerifies);

    private sealed class Lack(long since)
    {
        public long Since => since;

        /// <summary>Good replicas on living servers: none, one, or <see cref="Several"/>.</summary>
        public int Left { get; set; }
        public long NotBefore { get; set; }
        public bool Complained { get; set; }
    }

    /// <summary>A server could not make its copy of a chunk.</summary>
    private sealed class Refusal
    {
        public int Count { get; set; }
        public long Until { get; set; }
    }

    private sealed class Unconfirmed(SortedSet<ServerId> members, long since)
    {
        public SortedSet<ServerId> Members => members;
        public long Since => since;
        public int Tries { get; set; }
    }
}
