using Semel.Simulation.Cluster;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>Does to a cluster what a plan says, at moments drawn from the seed; what it breaks it mends after a while.</summary>
internal sealed class FaultInjector
{
    private readonly SimulatedCluster _cluster;
    private readonly RunPlan _plan;
    private readonly SimulatedRandom _random;
    private readonly Action<FaultKind> _onWriters;
    private bool _ended;

    /// <param name="onWriters">Carries out the faults that hit writers.</param>
    public FaultInjector(SimulatedCluster cluster, RunPlan plan, Action<FaultKind> onWriters)
    {
        (_cluster, _plan, _onWriters) = (cluster, plan, onWriters);
        _random = cluster.World.Random.Fork();
    }

    public async Task RunAsync(TimeProvider time)
    {
        for (int i = 0; i < _plan.FaultCount && !_ended; i++)
        {
            await Task.Delay(_plan.FaultInterval * (2 * _random.NextDouble()), time);
            if (!_ended)
                Inject(_random.Pick(_plan.Faults));
        }
    }

    /// <summary>No new faults; everything that is broken is whole again at once.</summary>
    public void Heal()
    {
        _ended = true;
        _cluster.Heal();
        _cluster.World.Mark("healed");
        _cluster.World.Tell("faults", "all healed");
    }

    private void Inject(FaultKind kind)
    {
        var server = _random.Pick(_cluster.ChunkServers);
        var (world, network, master) = (_cluster.World, _cluster.Network, _cluster.Master);
        world.Mark("fault", (long)kind, server.Process?.Number ?? 0);
        world.Reached("fault " + kind);
        world.Tell("faults", kind.ToString());
        switch (kind)
        {
            case FaultKind.KillServer:
                server.Kill();
                Later(server.Start);
                break;
            case FaultKind.PowerFailServer:
                server.LosePower();
                Later(server.Start);
                break;
            case FaultKind.PowerFailAll:
                foreach (var each in _cluster.Servers)
                {
                    each.LosePower();
                    Later(each.Start);
                }
                break;
            case FaultKind.RestartServer:
                _cluster.Environment.Start(() => RestartAsync(server));
                break;
            case FaultKind.PauseServer:
                PauseFor(server);
                break;
            case FaultKind.KillMaster:
                master.Kill();
                Later(master.Start);
                break;
            case FaultKind.PowerFailMaster:
                master.LosePower();
                Later(master.Start);
                break;
            case FaultKind.PauseMaster:
                PauseFor(master);
                break;
            case FaultKind.CutOneWay:
            case FaultKind.CutBothWays:
                var (from, to) = (_random.Pick(_cluster.Hosts), _random.Pick(_cluster.Hosts));
                Cut(from, to);
                if (kind == FaultKind.CutBothWays)
                    Cut(to, from);
                break;
            case FaultKind.Isolate:
                string alone = _random.Pick(_cluster.Hosts);
                foreach (string other in _cluster.Hosts.Where(other => other != alone))
                {
                    network.Cut(alone, other);
                    network.Cut(other, alone);
                }
                Later(() =>
                {
                    foreach (string other in _cluster.Hosts)
                    {
                        network.Mend(alone, other);
                        network.Mend(other, alone);
                    }
                });
                break;
            case FaultKind.FullDisk:
                Spoil(server, server.Disk.Faults with { Full = true, ReservationsFail = _random.OneIn(2) });
                break;
            case FaultKind.SlowDisk:
                var (min, max) = (_plan.Disk.MaxFlush, TimeSpan.FromMilliseconds(20 + _random.Below(500)));
                Spoil(server, server.Disk.Faults with { MinFlush = min, MaxFlush = max });
                break;
            case FaultKind.FlushErrors:
                Spoil(server, server.Disk.Faults with { FlushError = 0.3 });
                break;
            case FaultKind.ClockJump:
                _random.Pick([.. _cluster.Servers]).Process?.Time.Jump(_random.Between(TimeSpan.FromHours(-3), TimeSpan.FromHours(3)));
                break;
            case FaultKind.KillWriter:
            case FaultKind.DoubleWriter:
                _onWriters(kind);
                break;
        }
    }

    private async Task RestartAsync(SimulatedServer server)
    {
        if (!server.IsUp)
            return;
        try
        {
            await server.StopAsync();
        }
        catch (ProcessDiedException)
        {
            return;   // another fault was faster
        }
        if (_ended)
            server.Start();
        else
            Later(server.Start);
    }

    private void PauseFor(SimulatedServer server)
    {
        if (server.Process is not { } process)
            return;
        process.Pause();
        Later(process.Resume);
    }

    private void Cut(string from, string to)
    {
        if (from == to)
            return;
        _cluster.Network.Cut(from, to);
        Later(() => _cluster.Network.Mend(from, to));
    }

    private void Spoil(SimulatedServer server, DiskFaults faults)
    {
        server.Disk.Faults = faults;
        Later(() => server.Disk.Faults = _plan.Disk);
    }

    private void Later(Action mend)
    {
        var after = _random.Between(TimeSpan.FromMilliseconds(1), _plan.FaultDuration);
        _cluster.World.After(after, () =>
        {
            if (!_ended)
                mend();
        });
    }
}
