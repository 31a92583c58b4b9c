using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.Identity;
using Semel.Master.OperationLog;
using Semel.Master.Repair;
using Semel.Master.Views;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Servers;

/// <summary>Chunk servers join the cluster, come back to it, and fall silent.</summary>
internal sealed class Registration(
    MasterServices services, ServerRegistry servers, HandleAllocator handles, ChunkMaker maker, ActivityTable activities, ViewChanges views, Sealing sealing, Rereplication repair)
{
    private const int RememberedRefusals = 1000;

    /// <summary>Address and why: a server that is refused asks again and again, and the operator is told once.</summary>
    private readonly Dictionary<string, string> _refused = [];
    private long _lastTick = services.Now;

    public RegisterServerReply Register(RegisterServerRequest request)
    {
        if (RefusalOf(request) is { } refusal)
        {
            TellRefusal(request.Address, refusal.Detail);
            return new RegisterServerReply { Status = refusal.Status, Detail = refusal.Detail, ClusterId = services.State.ClusterId, KnownGeneration = refusal.KnownGeneration };
        }
        _refused.Remove(request.Address);
        var server = Admit(request);
        bool wasAlive = server.IsAlive;
        bool isKnown = services.State.Servers.TryGetValue(server.Id, out var admitted);
        bool isStartedAnew = isKnown && admitted.Incarnation != request.Incarnation;
        ulong generation = Math.Max(request.Generation, admitted.Generation);
        if (admitted != new AdmittedServer(request.Address, request.Incarnation, generation))
            LogStart(server.Id, new AdmittedServer(request.Address, request.Incarnation, generation));
        server.IsFresh |= isStartedAnew;
        if (server.Incarnation != request.Incarnation)
        {
            server.Begin(request.Incarnation);
            server.Commands.Clear();
            server.AccusedAt = null;
            repair.ServerGone(server.Id);
        }
        (server.HeardAt, server.Sequence, server.LeasesRenewedAt) = (services.Now, 0, null);
        (server.CapacityBytes, server.FreeBytes) = (request.CapacityBytes, request.FreeBytes);
        (server.Serves, server.HasReported, server.Report) = (false, false, new FullReport(handles.Next, maker.BeingMade()));
        servers.SetPresence(server, ServerPresence.Alive);
        services.Logger.ServerRegistered(server.Id, server.Address);

        if (isStartedAnew)
        {
            // Whatever it was primary of, it is not any more: a ballot serves one incarnation.
            foreach (var chunk in services.State.OpenChunksOf(server.Id))
                views.Start(chunk, $"its primary {server.Id} was started anew");
        }
        CameBack(server, wasAlive);
        return new RegisterServerReply
        {
            Status = Status.Ok,
            ClusterId = services.State.ClusterId,
            ServerId = server.Id.Value,
            MasterEpoch = services.State.Epoch,
            HeartbeatMs = (uint)services.Options.HeartbeatInterval.TotalMilliseconds,
            MasterNonce = services.State.Nonce,
            AcceptsLoss = services.State.Epochs.AcceptedBelow == services.State.Epoch,
        };
    }

    /// <summary>The server's data directory has grown older.</summary>
    public void TakeGeneration(KnownServer server, ulong generation)
    {
        if (services.State.Servers.TryGetValue(server.Id, out var admitted) && generation > admitted.Generation && admitted.Incarnation == server.Incarnation)
            LogStart(server.Id, admitted with { Generation = generation });
    }

    /// <summary>A dead server's incarnation was heard of again.</summary>
    public void Revive(KnownServer server)
    {
        services.Logger.ServerRevived(server.Id, server.Address);
        servers.SetPresence(server, ServerPresence.Alive);
        CameBack(server, wasAlive: false);
    }

    /// <summary>Everything that the server has is known now.</summary>
    public void ReportCompleted(KnownServer server, FullReport report, Action<Chunk> missing)
    {
        (server.Report, server.HasReported) = (null, true);
        services.Logger.ReportCompleted(server.Id, report.Seen.Count);
        services.Standing.TakeReported(server.Id);
        foreach (var chunk in services.State.Chunks())
        {
            if (report.Covers(chunk.Handle) && !report.Seen.Contains(chunk.Handle.Value))
                missing(chunk);
        }
        foreach (var chunk in services.State.OpenChunksOf(server.Id))
        {
            if (report.Covers(chunk.Handle) && !report.Primaries.Contains(chunk.Handle.Value) && !MayBeRecovering(chunk))
                views.Start(chunk, $"chunk server {server.Id} should be its primary and is not");
        }
        // A member that was started anew votes as before, but where nobody appends nobody would tell it what is committed.
        foreach (ulong handle in server.IsFresh ? report.Unsettled : [])
        {
            if (services.State.FindChunk(new ChunkHandle(handle)) is { IsSealed: false } chunk)
                views.Start(chunk, $"member {server.Id} was started anew and does not know what is committed");
        }
        server.IsFresh = false;
        servers.Changed.Fire();
        sealing.EndShortChunks(serverCameBack: true);
        repair.CheckAll();
    }

    /// <summary>Looks for servers that have been silent for too long.</summary>
    public void Tick()
    {
        var since = services.Since(_lastTick);
        _lastTick = services.Now;
        if (since > services.Options.DeadAfter / 2)
        {
            // It was the master that stood still: heartbeats may lie unread before its door.
            services.Logger.HeldUp((long)since.TotalMilliseconds);
            foreach (var server in servers.Alive)
                server.HeardAt = services.Now;
            return;
        }
        foreach (var server in servers.All)
        {
            if (server.IsAlive && services.Since(server.HeardAt) > services.Options.DeadAfter)
                Die(server, "it is silent");
        }
    }

    /// <summary>1: it counts as alive everywhere. 2: chunks that waited for it, or for any server, go on.</summary>
    private void CameBack(KnownServer server, bool wasAlive)
    {
        server.CameBackAt = services.Now;
        views.MemberCameBack(server.Id);
        servers.Changed.Fire();
        if (wasAlive)
            return;
        repair.CheckAll();
        if (server.HasReported)
            sealing.EndShortChunks(serverCameBack: true);
    }

    private void Die(KnownServer server, string reason)
    {
        services.Logger.ServerDied(server.Id, server.Address, (long)services.Since(server.HeardAt).TotalMilliseconds, services.Options.RepairGrace);
        servers.SetPresence(server, ServerPresence.Dead);
        repair.ServerGone(server.Id);
        foreach (var chunk in services.State.OpenChunksWith(server.Id))
        {
            // A file that nobody writes keeps its members for a while: the server may come back before anybody does. See OpenChunkRepair.
            if (activities.IsInUse(chunk.File))
                views.Start(chunk, $"chunk server {server.Id} counts as dead: {reason}", accused: server.Id);
        }
        repair.CheckAll();
    }

    private bool MayBeRecovering(Chunk chunk) =>
        views.IsRunning(chunk) || activities.WasGrantedWithin(chunk.File, services.Options.CallTimeout);

    private Refusal? RefusalOf(RegisterServerRequest request)
    {
        string cluster = services.State.ClusterId!;
        if (request.ClusterId.Length > 0 && request.ClusterId != cluster)
        {
            return new Refusal(Status.WrongCluster, $"The chunk server at {request.Address} belongs to the cluster {request.ClusterId}, and this is the master of the cluster {cluster}. "
                + "Give it the address of its own master, or an empty data directory to join this cluster.");
        }
        if (request.Incarnation == 0 || request.Address.Length is 0 or > 512)
            return new Refusal(Status.Invalid, $"A registration needs an incarnation and an address of at most 512 characters; it said {request.Incarnation} and '{Shorten(request.Address)}'.");
        if (request.KnownEpoch > IdRange.MaxEpoch)
            return new Refusal(Status.Invalid, $"The epoch {request.KnownEpoch} that chunk server {new ServerId(request.ServerId)} claims to have served is beyond {IdRange.MaxEpoch}.");
        // Also those that have nothing against it: an old master must not become the one that they serve.
        if (services.Standing.Examine(new ServerId(request.ServerId), request.Address, new SeenMaster(request.KnownEpoch, request.KnownNonce, request.KnownPosition)) is { } lack)
            return new Refusal(Status.Conflict, lack);
        if (services.Standing.Refutation is { } refutation)
            return new Refusal(Status.Unavailable, refutation);
        if (request.ServerId == 0 || !servers.TryGet(new ServerId(request.ServerId), out var server))
            return null;
        if (server.IsFormer(request.Incarnation))
            return new Refusal(Status.Stale, $"Incarnation {request.Incarnation:x16} of chunk server {server.Id} was replaced by a newer one.");
        if (server.IsAlive && server.Incarnation != request.Incarnation && server.Address != request.Address)
        {
            return new Refusal(Status.Conflict, $"Chunk server {server.Id} is alive at {server.Address}, and another one with the same id registers from {request.Address}. "
                + $"A data directory serves one chunk server: give the new one its own. If it is the same server at a new address, it is taken {services.Options.DeadAfter.TotalSeconds} s after the old one fell silent.");
        }
        if (services.State.Servers.TryGetValue(server.Id, out var admitted) && !admitted.IsContinuedBy(request.Generation))
        {
            return new Refusal(Status.Conflict, $"The data directory of chunk server {server.Id} is an older copy of itself: it has generation {request.Generation} and had {admitted.Generation}. "
                + "Its open replicas count for nothing until a living primary has shown them its log.")
            { KnownGeneration = admitted.Generation };
        }
        return null;
    }

    private void TellRefusal(string address, string why)
    {
        if (_refused.TryGetValue(address, out string? told) && told == why)
            return;
        if (_refused.Count >= RememberedRefusals)
            _refused.Clear();
        _refused[address] = why;
        services.Logger.ServerRefused(address, why);
    }

    private KnownServer Admit(RegisterServerRequest request)
    {
        KnownServer? server;
        if (request.ServerId == 0)
        {
            // The answer to its first registration may have been lost.
            server = servers.All.FirstOrDefault(s => s.Incarnation == request.Incarnation && s.Address == request.Address);
        }
        else
            servers.TryGet(new ServerId(request.ServerId), out server);
        foreach (var other in servers.All)
        {
            if (other != server && other.IsAlive && other.Address == request.Address)
                Die(other, "another server took its address");
        }
        if (server is not null && server.Address == request.Address)
            return server;
        var id = server?.Id ?? (request.ServerId != 0 ? new ServerId(request.ServerId) : NewId());
        if (server is null)
        {
            servers.Add(server = new KnownServer(id, request.Address));
            services.Logger.ServerAdmitted(id, request.Address);
        }
        server.Address = request.Address;
        return server;
    }

    private void LogStart(ServerId id, AdmittedServer start) => services.Journal.Append(new LogEntry
    {
        ServerAdmitted = new ServerAdmitted { ServerId = id.Value, Address = start.Address, Incarnation = start.Incarnation, Generation = start.Generation },
    });

    private ServerId NewId()
    {
        while (true)
        {
            var id = new ServerId((ulong)services.Random.NextInt64(1, long.MaxValue));
            if (!servers.TryGet(id, out _))
                return id;
        }
    }

    private static string Shorten(string text) => text.Length <= 80 ? text : text[..80] + "...";
}
