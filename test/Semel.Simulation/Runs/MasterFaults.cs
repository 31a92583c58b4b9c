using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>An older copy of the master's directory is put back; or a second master is started on a copy of it.</summary>
internal sealed class MasterFaults(SimulatedCluster cluster, SimulatedRandom random, RunPlan plan, Action<string> newClients)
{
    private IReadOnlyList<(string Name, byte[] Bytes)>? _old;

    /// <summary>The first time a copy is made, later it is put back.</summary>
    public void OldMaster(Action<Action> later)
    {
        var master = cluster.Master;
        if (_old is null || (master.Truth is null && random.OneIn(4)))
        {
            if (master.IsUp && master.Truth is null)
                _old = master.Disk.Backup();
            return;
        }
        if (master.Truth is not null)
            return;
        master.Kill();
        (master.WasHarmed, master.MayRefuse) = (true, true);
        master.Truth = master.Disk.Backup();
        master.Disk.Restore(_old);
        cluster.World.Reached("an older master was put back");
        later(master.Start);
    }

    /// <summary>
    /// Of the servers at most one is told of the second master, so that no file can go on without the others; some clients are.
    /// </summary>
    public void TwoMasters(Action<Action> later)
    {
        var master = cluster.Master;
        // A log that names no server: nobody could tell its masters apart.
        if (cluster.Second is not null || !master.IsUp || !cluster.ChunkServers.Any(cluster.IsKnown))
            return;
        var second = cluster.AddMaster();
        second.Disk.Faults = plan.Disk;
        second.MayRefuse = true;
        second.Disk.Restore(master.Disk.Backup());
        second.Start();
        cluster.World.Reached("a second master was started on a copy");
        if (plan.Shape.MinMembers > 1 && random.OneIn(2))
        {
            var server = random.Pick(cluster.ChunkServers);
            server.Kill();
            server.MasterAddress = second.Address;
            server.Start();
        }
        for (int i = 1 + random.Below(3); i > 0; i--)
            newClients(second.Address);
        later(() =>
        {
            if (random.OneIn(2))
                newClients(second.Address);
        });
    }
}
