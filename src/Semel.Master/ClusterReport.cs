using Semel.Master.Repair;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master;

/// <summary>What an operator sees of the cluster.</summary>
internal sealed class ClusterReport(MasterServices services, ServerRegistry servers, Rereplication repair, OpenChunkRepair openRepair, ViewChanges views)
{
    /// <summary>Counting replicas walks over all chunks: not more often than this.</summary>
    private static readonly TimeSpan CountFor = TimeSpan.FromSeconds(1);

    /// <summary>Unavailable chunks that are named; all are counted.</summary>
    private const int MostNamed = 100;

    private Dictionary<ServerId, ulong> _replicas = [];
    private long? _countedAt;

    public ClusterStatusReply Make()
    {
        var state = services.State;
        Count();
        var reply = new ClusterStatusReply
        {
            Status = Status.Ok,
            ClusterId = state.ClusterId,
            MasterEpoch = state.Epoch,
            Files = (ulong)state.Namespace.FileCount,
            Directories = (ulong)state.Namespace.DirectoryCount,
            Chunks = (ulong)state.ChunkCount,
            UnderReplicated = (ulong)(repair.LackingCount + openRepair.LackingCount()),
            ChunkCapacity = services.Options.CapacityOfNewFiles,
            Replicas = (uint)services.Options.Replicas,
            Recovering = servers.IsRecovering,
            Withholds = services.Standing.Withholds ?? "",
            LossProven = (ulong)state.ProofsOfLoss.Keys.Select(p => p.Handle).Distinct().Count(),
            Unavailable = (ulong)views.UnavailableCount,
        };
        reply.UnavailableChunks.AddRange(views.Unavailable(MostNamed).Select(u => new UnavailableChunk
        {
            Handle = u.Chunk.Handle.Value,
            Path = u.Chunk.File.Path,
            Index = u.Chunk.Index,
            Problem = u.Problem,
        }));
        reply.Servers.AddRange(servers.All.Select(s => new ServerStatus
        {
            Server = s.ToMessage(),
            Alive = s.IsAlive,
            CapacityBytes = s.CapacityBytes,
            FreeBytes = s.FreeBytes,
            Chunks = _replicas.GetValueOrDefault(s.Id),
            Leases = (ulong)state.LeasesOf(s.Id),
            SilentMs = s.Presence == ServerPresence.Absent ? -1 : (long)services.Since(s.HeardAt).TotalMilliseconds,
        }));
        return reply;
    }

    private void Count()
    {
        if (_countedAt is { } at && services.Since(at) < CountFor)
            return;
        _countedAt = services.Now;
        _replicas = [];
        foreach (var chunk in services.State.Chunks())
        {
            foreach (var server in chunk.IsSealed ? chunk.Replicas : chunk.Members)
                _replicas[server] = _replicas.GetValueOrDefault(server) + 1;
        }
    }
}
