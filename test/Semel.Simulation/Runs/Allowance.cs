using Semel.Protocol.Identity;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>
/// What may be done to files and disks without breaking the promise that the run is about: one machine's files are touched, and a disk goes
/// only where another one has all that was acknowledged. The simulation may look at all disks; no server can.
/// </summary>
internal sealed class Allowance
{
    private readonly SimulatedCluster _cluster;
    private readonly RunPlan _plan;

    public Allowance(SimulatedCluster cluster, RunPlan plan, SimulatedRandom random)
    {
        (_cluster, _plan) = (cluster, plan);
        Unlucky = random.Pick(cluster.ChunkServers);
        bool onlyMaster = plan.Faults.Any(kind => kind is FaultKind.OldMaster or FaultKind.TwoMasters);
        MasterIsUnlucky = onlyMaster || (plan.Faults.Contains(FaultKind.RotLastBytes) && random.OneIn(2));
    }

    /// <summary>The only chunk server whose files are touched: what is on the others must be enough.</summary>
    public SimulatedServer Unlucky { get; }

    /// <summary>The one machine is the master's.</summary>
    public bool MasterIsUnlucky { get; }

    /// <summary>Chunks of which another server has a replica that counts, by file. Only they may be harmed.</summary>
    public List<string> HeldElsewhere() => MasterIsUnlucky || Unlucky.IsGone ? [] : [.. (_plan.TouchesDisks ? _cluster.LastKnownChunks() : _cluster.Chunks())
        .Where(chunk => chunk.Holders.Contains(Unlucky) && chunk.Holders.Count > 1)
        .Where(chunk => !_plan.TouchesDisks
            || _cluster.Copies.Provable(chunk.Handle).Any(other => other != Unlucky && chunk.Holders.Contains(other)))
        .Select(chunk => SimulatedCluster.FileOf(chunk.Handle)).Where(Unlucky.Disk.Exists)];

    /// <summary>
    /// A member that is left has all that was acknowledged in each chunk. Or nobody's is, because a configuration shrank below its floor
    /// before anybody could know that its other members are gone: what they have then counts as well. And a server is left that can tell a
    /// master whether its log is whole: without any it rightly gives nothing away.
    /// </summary>
    public bool MayDie(SimulatedServer server) => !server.IsGone
        && _cluster.ChunkServers.Any(other => other != server && _cluster.IsKnown(other))
        && _cluster.LastKnownChunks().All(chunk =>
    {
        var left = _cluster.Copies.Provable(chunk.Handle).Where(other => other != server).ToList();
        return left.Any(chunk.Holders.Contains) || (left.Count > 0 && ShrankTooEarly(chunk.Holders));
    });

    /// <summary>Machines that are there.</summary>
    public int Living => _cluster.ChunkServers.Count(server => !server.IsGone);

    private bool ShrankTooEarly(IReadOnlyList<SimulatedServer> members) =>
        members.Count < Math.Min(_plan.Shape.MinMembers, _plan.Shape.Replicas)
        && _cluster.World.NowNs - _cluster.Master.StartedNs < Nodes.MemberGrace.Ticks * 100
        && _cluster.ChunkServers.All(server => !server.WasHarmed && !server.LostDisk);
}
