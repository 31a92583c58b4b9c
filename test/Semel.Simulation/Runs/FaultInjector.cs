using Semel.Protocol.Frames;
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
    private readonly Allowance _allowance;
    private readonly StartFaults _starts;
    private readonly FileFaults _files;
    private readonly MasterFaults _masters;
    private Task? _episode;      // what takes long and happens alone
    private IReadOnlyList<(string Name, byte[] Bytes)> _backup = [];
    private ulong _generationAtBackup = ulong.MaxValue;
    private bool _ended;

    /// <param name="cluster">What is broken.</param>
    /// <param name="plan">How.</param>
    /// <param name="onWriters">Carries out the faults that hit writers.</param>
    /// <param name="newClients">Starts clients that are told of another master.</param>
    public FaultInjector(SimulatedCluster cluster, RunPlan plan, Action<FaultKind> onWriters, Action<string> newClients)
    {
        (_cluster, _plan, _onWriters) = (cluster, plan, onWriters);
        _random = cluster.World.Random.Fork();
        _allowance = new Allowance(cluster, plan, _random);
        _files = new FileFaults(cluster, plan, _random, _allowance);
        _masters = new MasterFaults(cluster, _random, plan, newClients);
        _starts = new StartFaults(cluster, plan, _random, _allowance, () => _ended, whileDown: () =>
        {
            if (_plan.Faults.Contains(FaultKind.RotLastBytes) && _random.OneIn(2))
                _files.RotLastBytesOfStopped();
        });
    }

    private SimulatedServer Unlucky => _allowance.Unlucky;

    public async Task RunAsync(TimeProvider time)
    {
        for (int i = 0; i < _plan.FaultCount && !_ended; i++)
        {
            await Task.Delay(_plan.FaultInterval * (2 * _random.NextDouble()), time);
            if (!_ended)
                Inject(_random.Pick(_plan.Faults));
        }
        if (_episode is not null)
            await _episode;
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
            case FaultKind.KillServerInStep:
                DieInStep(server, server.Kill);
                break;
            case FaultKind.PowerFailServerInStep:
                DieInStep(server, server.LosePower);
                break;
            case FaultKind.MasterDiesInStep:
                DieInStep(master, _random.OneIn(2) ? master.Kill : master.LosePower);
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
            case FaultKind.Rot:
                Rot();
                break;
            case FaultKind.ForeignFile:
                Exchange();
                break;
            case FaultKind.RestoreBackup:
                if (_backup.Count > 0 && !_random.OneIn(4))
                    Restore();
                else if (_cluster.GenerationOf(Unlucky) is > 0 and var generation)     // before, it would come back as another server
                    (_backup, _generationAtBackup) = (Unlucky.Disk.Backup(), generation);
                break;
            case FaultKind.ClockJump:
                _random.Pick([.. _cluster.Servers]).Process?.Time.Jump(_random.Between(TimeSpan.FromHours(-3), TimeSpan.FromHours(3)));
                break;
            case FaultKind.KillWriter:
            case FaultKind.DoubleWriter:
                _onWriters(kind);
                break;
            case FaultKind.ColdStart:
                Alone(_starts.ColdStartAsync);
                break;
            case FaultKind.IdleDeaths:
                Alone(_starts.IdleDeathsAsync);
                break;
            case FaultKind.RotLastBytes:
                Alone(() => _files.RotLastBytesAsync(() => _ended));
                break;
            case FaultKind.DiskDies:
                _starts.DiskDies();
                break;
            case FaultKind.TruncateRunning:
                _files.TruncateRunning();
                break;
            case FaultKind.OldMaster when _allowance.MasterIsUnlucky:
                _masters.OldMaster(Later);
                break;
            case FaultKind.TwoMasters when _allowance.MasterIsUnlucky:
                _masters.TwoMasters(Later);
                break;
        }
    }

    /// <summary>Begins what takes long, unless something of this kind still goes on.</summary>
    private void Alone(Func<Task> episode)
    {
        if (_episode is null or { IsCompleted: true })
            _episode = episode();
    }

    private void Rot()
    {
        if (_allowance.HeldElsewhere() is not { Count: > 0 } files)
            return;
        string file = _random.Pick(files);
        int length = KnownCommitted(Unlucky.Disk.ReadAll(file));
        Unlucky.WasHarmed = true;
        for (int i = _random.Below(3); i >= 0 && length > 0; i--)
            Unlucky.Disk.Corrupt(file, _random.Below(length), (byte)(1 << _random.Below(8)));
    }

    /// <summary>
    /// Up to where some of the last frames say that the log is committed. Rot behind it looks like a torn tail: the replica alone cannot tell, and it may be the only one that
    /// answers.
    /// </summary>
    private static int KnownCommitted(byte[] frames)
    {
        var committed = new List<uint>();
        for (var reader = new FrameReader(frames, 0, chain: null); reader.Read();)
            committed.Add(reader.Header.Committed);
        return committed.Count < 4 ? 0 : (int)committed[^4];
    }

    /// <summary>Somebody mixed up two files while the server was down. The foreign one has the right length, to make it harder to notice.</summary>
    private void Exchange()
    {
        if (_allowance.HeldElsewhere() is not { Count: > 1 } files)
            return;
        string target = _random.Pick(files), source = _random.Pick(files);
        if (source == target)
            return;
        byte[] foreign = Unlucky.Disk.ReadAll(source);
        // One without a frame looks like the log of a chunk to which nothing was appended: only the other replicas tell, and with memory durability they may have lost theirs.
        // And one that was exchanged before may be an older copy of the target itself, which looks like a torn tail.
        if (!FrameHeader.TryRead(foreign, out var first, out _) || first.Chain == FrameHeader.ChainSeed(SimulatedCluster.HandleOf(target)))
            return;
        Array.Resize(ref foreign, Unlucky.Disk.ReadAll(target).Length);
        Unlucky.Kill();
        Unlucky.WasHarmed = true;
        Unlucky.Disk.Put(target, foreign);
        Later(Unlucky.Start);
    }

    private void Restore()
    {
        // It must not have the last replica of anything; and a copy that is younger than the generation that the master knows looks like the directory itself.
        if (_allowance.MasterIsUnlucky || Unlucky.IsGone || Unlucky.LostDisk || !_cluster.Master.IsUp || _cluster.GenerationOf(Unlucky) <= _generationAtBackup + 1
            || _cluster.Chunks().Any(chunk => chunk.Holders.Contains(Unlucky) && chunk.Holders.Count == 1))
            return;
        _cluster.World.Reached("a backup was put back");
        Unlucky.Kill();
        Unlucky.WasHarmed = true;
        Unlucky.Disk.Restore(_backup);
        Later(Unlucky.Start);
    }

    private void DieInStep(SimulatedServer server, Action die) => server.Process?.DieAtEffect(1 + _random.Below(_random.OneIn(2) ? 5 : 60), () =>
    {
        die();
        if (_ended)
            server.Start();
        else
            Later(server.Start);
    });

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
