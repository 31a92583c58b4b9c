using System.Diagnostics.CodeAnalysis;
using Semel.Protocol;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Servers;

/// <summary>All chunk servers of the cluster, in the order of their ids.</summary>
internal sealed class ServerRegistry
{
    private readonly SortedDictionary<ServerId, KnownServer> _servers = [];
    private readonly MasterServices _services;
    private readonly long _startedAt;

    public ServerRegistry(MasterServices services)
    {
        _services = services;
        _startedAt = services.Now;
        foreach (var (id, admitted) in services.State.Servers)
            Add(new KnownServer(id, admitted.Address));
    }

    /// <summary>Fires when a server became alive or has reported all that it has.</summary>
    public Pulse Changed { get; } = new();

    public IReadOnlyCollection<KnownServer> All => _servers.Values;
    public IEnumerable<KnownServer> Alive => _servers.Values.Where(s => s.IsAlive);
    public int AliveCount { get; private set; }

    public bool TryGet(ServerId id, [NotNullWhen(true)] out KnownServer? server) => _servers.TryGetValue(id, out server);

    public KnownServer Get(ServerId id)
    {
        bool known = _servers.TryGetValue(id, out var server);
        Invariant.Holds(known);
        return server!;
    }

    public void Add(KnownServer server)
    {
        server.HeardAt = server.CameBackAt = server.AnsweredAt = _startedAt;
        _servers.Add(server.Id, server);
    }

    public bool IsAlive(ServerId id) => _servers.TryGetValue(id, out var server) && server.IsAlive;

    /// <summary>The master has just started and has not heard of it yet.</summary>
    public bool MayStillCome(ServerId id) => _servers.TryGetValue(id, out var server) && server.Presence == ServerPresence.Absent
        && _services.Since(_startedAt) < _services.Options.DeadAfter / 2;

    /// <summary>It was silent for too long; also when it has not registered within that time since the master started.</summary>
    public bool IsDead(ServerId id) => !_servers.TryGetValue(id, out var server) || server.Presence == ServerPresence.Dead
        || (server.Presence == ServerPresence.Absent && _services.Since(_startedAt) > _services.Options.DeadAfter);

    /// <summary>
    /// When it was last heard of: a heartbeat, a registration, an answer. Not before the master's start, which knows of nothing before it.
    /// </summary>
    public long LastSignOf(ServerId id) => Math.Max(Get(id).HeardAt, Get(id).AnsweredAt);

    public void SetPresence(KnownServer server, ServerPresence presence)
    {
        AliveCount += (presence == ServerPresence.Alive ? 1 : 0) - (server.IsAlive ? 1 : 0);
        server.Presence = presence;
    }

    /// <summary>Some servers may still come back with replicas that the master has not heard of since it started.</summary>
    public bool IsRecovering => _servers.Values.Any(s => s.IsAlive ? !s.HasReported : !IsDead(s.Id));

    public ServerAddress Address(ServerId id) => Get(id).ToMessage();
}
