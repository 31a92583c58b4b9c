using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>
/// Whole clusters that stop and come back one by one, and disks that are gone for good: at any time, during such a start, or while nobody
/// writes.
/// </summary>
/// <param name="whileDown">Something happens to the files while nobody runs.</param>
internal sealed class StartFaults(SimulatedCluster cluster, RunPlan plan, SimulatedRandom random, Allowance allowance, Func<bool> hasEnded, Action whileDown)
{
    /// <summary>How long an operator waits for a process to end before he kills it.</summary>
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    private enum Manner
    {
        Stop,
        Kill,
        LosePower,
        Mixed,
    }

    /// <summary>Every process stops; then the machines come back in any order, and some not before everything is healed.</summary>
    public async Task ColdStartAsync()
    {
        var manner = (Manner)random.Below(4);
        await Task.WhenAll(cluster.Servers.Select(server => EndAsync(server, manner == Manner.Mixed ? (Manner)random.Below(3) : manner)));
        await PauseAsync(TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(2));
        if (hasEnded())
            return;
        whileDown();
        var order = Shuffled([.. cluster.Servers]);
        if (random.OneIn(2))
            order = [cluster.Master, .. order.Where(server => server != cluster.Master)];
        else if (random.OneIn(2))
            order = [.. order.OrderBy(server => server == cluster.Master ? 0 : server == allowance.Unlucky ? 1 : 2)];
        int deathAfter = plan.Faults.Contains(FaultKind.DiskDies) && random.OneIn(2) ? 1 + random.Below(order.Count) : -1;
        for (int i = 0; i < order.Count && !hasEnded(); i++)
        {
            if (i > 1 && random.OneIn(6))
                continue;       // it comes back when everything is healed
            order[i].Start();
            await Task.Delay(DrawSpacing(), cluster.Environment.Time);
            if (i == deathAfter && !hasEnded())
                DiskDies(random.Pick([.. order[..(i + 1)].Where(server => server != cluster.Master).DefaultIfEmpty(order[i])]));
        }
    }

    public void DiskDies() => DiskDies(random.Pick(cluster.ChunkServers));

    /// <summary>
    /// Long quiet. Then servers are gone with their disks one after another, each long after whoever lost a replica with the one before
    /// should have another one.
    /// </summary>
    public async Task IdleDeathsAsync()
    {
        if (cluster.ChunkServers.Any(server => server.WasHarmed))
            return;     // what is on the last one must be good
        cluster.Calm();
        var network = cluster.Network.Faults;
        cluster.Network.Faults = network with { Loss = 0, Duplication = 0, Tail = 0 };
        try
        {
            await DieOneByOneAsync();
        }
        finally
        {
            if (!hasEnded())
                cluster.Network.Faults = network;
        }
    }

    private async Task DieOneByOneAsync()
    {
        await PauseAsync(plan.Quiet, plan.Quiet * 2);
        // A member is waited for before a configuration falls below its floor.
        var least = TimeSpan.FromSeconds(12) + (plan.Shape.Replicas <= plan.Shape.MinMembers ? Nodes.MemberGrace : TimeSpan.Zero);
        for (int left = 1 + random.Below(3); left > 0 && allowance.Living > 1 && !hasEnded(); left--)
        {
            var server = random.Pick([.. cluster.ChunkServers.Where(s => !s.IsGone)]);
            cluster.World.Reached("a disk died while nobody wrote");
            server.LoseDisk(isReplaced: false, plan.Disk);
            await PauseAsync(least, least * 1.5);
        }
    }

    private void DiskDies(SimulatedServer server)
    {
        if (server == cluster.Master || !allowance.MayDie(server))
            return;
        cluster.World.Reached("a disk died");
        bool isReplaced = random.OneIn(2) || allowance.Living <= Math.Max(2, plan.Shape.MinMembers);
        server.LoseDisk(isReplaced, plan.Disk);
        if (isReplaced)
            cluster.World.After(DrawSpacing(), server.Start);
    }

    private async Task EndAsync(SimulatedServer server, Manner manner)
    {
        if (manner == Manner.LosePower && plan.HarshMaster && plan.Shape.Durability == Durability.Memory)
            manner = Manner.Kill;       // the harsh master repairs nothing
        switch (manner)
        {
            case Manner.LosePower:
                server.LosePower();
                break;
            case Manner.Kill:
                server.Kill();
                break;
            default:
                server.Process?.Resume();
                await Task.WhenAny(StopAsync(server), Task.Delay(StopPatience, cluster.Environment.Time));
                server.Kill();
                break;
        }
    }

    private static async Task StopAsync(SimulatedServer server)
    {
        try
        {
            await server.StopAsync();
        }
        catch (ProcessDiedException)
        {
            // another fault was faster
        }
    }

    private Task PauseAsync(TimeSpan least, TimeSpan most) => Task.Delay(random.Between(least, most), cluster.Environment.Time);

    /// <summary>Milliseconds as often as seconds, and minutes now and then.</summary>
    private TimeSpan DrawSpacing() => TimeSpan.FromMilliseconds(Math.Pow(10, random.NextDouble() * (random.OneIn(30) ? 5 : 4)));

    private List<SimulatedServer> Shuffled(List<SimulatedServer> servers)
    {
        for (int i = servers.Count - 1; i > 0; i--)
        {
            int other = random.Below(i + 1);
            (servers[i], servers[other]) = (servers[other], servers[i]);
        }
        return servers;
    }
}
