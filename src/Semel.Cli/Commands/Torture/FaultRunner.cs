using System.Globalization;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Torture;

/// <summary>Carries out a plan of faults at its times, and undoes each.</summary>
internal sealed class FaultRunner(ProxiedCluster cluster, History history, Action<string> say, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan StartPause = TimeSpan.FromMilliseconds(500);
    private const int StartAttempts = 60;

    /// <summary>One fault of the kinds that a process cannot bear twice at a time.</summary>
    private readonly SemaphoreSlim[] _processes = [.. Enumerable.Range(0, cluster.ChunkServers + 1).Select(_ => new SemaphoreSlim(1))];
    private readonly SemaphoreSlim[] _disks = [.. Enumerable.Range(0, cluster.ChunkServers + 1).Select(_ => new SemaphoreSlim(1))];
    private int _carriedOut;

    private readonly SpareCopies _spare = new(cluster);

    public ChunkRot Rot { get; } = new(cluster);
    public int CarriedOut => _carriedOut;

    /// <summary>Returns when the last fault has been undone.</summary>
    /// <exception cref="CommandException">A server does not start again.</exception>
    public async Task RunAsync(IReadOnlyList<PlannedFault> plan, CancellationToken cancellation)
    {
        long begin = time.GetTimestamp();
        var underWay = new List<Task>();
        try
        {
            foreach (var fault in plan)
            {
                var left = fault.At - time.GetElapsedTime(begin);
                if (left > TimeSpan.Zero)
                    await Task.Delay(left, time, cancellation);
                underWay.Add(CarryOutAsync(fault, cancellation));
            }
        }
        finally
        {
            // Also when interrupted: nobody stays paused.
            await Task.WhenAll(underWay);
        }
        for (int node = 0; node <= cluster.ChunkServers; node++)
            await cluster.ShiftClockAsync(node, TimeSpan.Zero);
    }

    public void Dispose()
    {
        foreach (var gate in _processes.Concat(_disks))
            gate.Dispose();
    }

    private Task CarryOutAsync(PlannedFault fault, CancellationToken cancellation) => fault.Kind switch
    {
        FaultKind.Kill => WithAllAsync(_processes, fault, () => KillAsync(fault, cancellation), cancellation),
        FaultKind.Pause => WithAllAsync(_processes, fault, () => PauseAsync(fault, cancellation), cancellation),
        FaultKind.Partition => PartitionAsync(fault, cancellation),
        FaultKind.Full => WithAllAsync(_disks, fault, () => FillAsync(fault, cancellation), cancellation),
        FaultKind.Corrupt => CorruptAsync(fault),
        FaultKind.ColdStart => WithAllAsync(_processes, fault, () => StartColdAsync(fault, cancellation), cancellation),
        FaultKind.LastBytes => WithAllAsync(_processes, fault, () => DamageAsync(fault, cancellation), cancellation),
        _ => JumpAsync(fault),
    };

    private static async Task WithAllAsync(SemaphoreSlim[] gates, PlannedFault fault, Func<Task> body, CancellationToken cancellation)
    {
        // In ascending order, like everybody, so that nobody waits in a circle.
        var held = new List<SemaphoreSlim>();
        try
        {
            foreach (int target in fault.Targets.Order())
            {
                await gates[target].WaitAsync(cancellation);
                held.Add(gates[target]);
            }
            await body();
        }
        finally
        {
            held.ForEach(gate => gate.Release());
        }
    }

    private async Task KillAsync(PlannedFault fault, CancellationToken cancellation)
    {
        Begins(fault, $"kill {Names(fault)}, start again after {Show(fault.Lasts)}");
        await Task.WhenAll(fault.Targets.Select(cluster.KillAsync));
        await Task.Delay(fault.Lasts, time, cancellation);
        await Task.WhenAll(fault.Targets.Select(target => StartAsync(target, cancellation)));
    }

    private async Task StartColdAsync(PlannedFault fault, CancellationToken cancellation)
    {
        var start = ColdStart.Draw(fault.Draw, cluster.ChunkServers);
        await Task.WhenAll(fault.Targets.Select(node => start.IsClean ? cluster.StopAsync(node) : cluster.KillAsync(node)));
        int wiped = start.Wipes.FirstOrDefault(s => _spare.ChunksOf(s) is { Count: > 0 } chunks && chunks.All(c => _spare.IsSpare(s, c)));
        Begins(fault, $"{(start.IsClean ? "stop" : "kill")} all nodes, start again over {Show(start.Lasts)}: {string.Join(", ", start.Order.Select(cluster.NameOf))}"
            + (wiped > 0 ? $"; the directory of {cluster.NameOf(wiped)} is wiped" : ""));
        foreach (var entry in wiped > 0 ? new DirectoryInfo(cluster.DataOf(wiped)).GetFileSystemInfos() : [])
        {
            if (entry is DirectoryInfo directory)
                directory.Delete(recursive: true);
            else
                entry.Delete();
        }
        foreach (var (node, gap) in start.Order.Zip(start.Gaps))
        {
            await Task.Delay(gap, time, cancellation);
            await StartAsync(node, cancellation);
        }
    }

    private async Task DamageAsync(PlannedFault fault, CancellationToken cancellation)
    {
        int target = fault.Targets[0];
        // A master that was killed may have acknowledged what its log's last bytes say an instant ago: nothing can prove that they were
        // ever whole. After a clean stop the witness does.
        bool isClean = target == 0 || fault.Draw % 2 == 0;
        await (isClean ? cluster.StopAsync(target) : cluster.KillAsync(target));
        var damage = new LastBytes(cluster, _spare, Rot).Strike(target, fault.Draw);
        if (damage is not null)
            Begins(fault, $"{(isClean ? "stop" : "kill")} {Names(fault)}, damage its {damage.What}, start again after {Show(fault.Lasts)}");
        await Task.Delay(fault.Lasts, time, cancellation);
        if (target == 0 && damage is not null)
            await new DamagedLog(cluster, say, Contradict).StartAsync(damage, cancellation);
        else
            await StartAsync(target, cancellation);
    }

    private async Task StartAsync(int target, CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await cluster.StartAsync(target, cancellation);
                return;
            }
            catch (CommandException e) when (attempt < StartAttempts)
            {
                // Its disk may be full at the moment.
                say($"{cluster.NameOf(target)} does not start: {e.Message}");
                await Task.Delay(StartPause, time, cancellation);
            }
        }
    }

    private async Task PauseAsync(PlannedFault fault, CancellationToken cancellation)
    {
        await using var paused = await cluster.PauseAsync(fault.Targets[0]);
        if (paused is null)
            return;
        Begins(fault, $"pause {Names(fault)} for {Show(fault.Lasts)}");
        await Task.Delay(fault.Lasts, time, cancellation);
    }

    private async Task PartitionAsync(PlannedFault fault, CancellationToken cancellation)
    {
        var delay = TimeSpan.FromMilliseconds(20 + (fault.Draw % 400));
        Begins(fault, $"{(fault.Mode is PartitionMode.Slow ? $"slow down by {Show(delay)}" : fault.Mode is PartitionMode.Reset ? "disconnect and cut" : "cut")} "
            + $"{string.Join(", ", fault.Links.Select(l => $"{cluster.NameOf(l.From)}>{cluster.NameOf(l.To)}"))} for {Show(fault.Lasts)}");
        var laid = fault.Links.Select(l => cluster.Links.Of(l.From, l.To)).Select(l => fault.Mode is PartitionMode.Slow ? l.Delay(delay) : l.Cut()).ToList();
        try
        {
            if (fault.Mode is PartitionMode.Reset)
            {
                foreach (var (from, to) in fault.Links)
                    cluster.Reset(from, to);
            }
            await Task.Delay(fault.Lasts, time, cancellation);
        }
        finally
        {
            laid.ForEach(l => l.Dispose());
        }
    }

    private async Task FillAsync(PlannedFault fault, CancellationToken cancellation)
    {
        if (cluster.DiskOf(fault.Targets[0]) is not { } disk)
            return;
        Begins(fault, $"fill the disk of {Names(fault)} for {Show(fault.Lasts)}");
        disk.Fill();
        try
        {
            await Task.Delay(fault.Lasts, time, cancellation);
        }
        finally
        {
            disk.Free();
        }
    }

    private Task CorruptAsync(PlannedFault fault)
    {
        if (Rot.Strike(fault.Targets[0], fault.Draw) is { } what)
            Begins(fault, $"flip {what}");
        return Task.CompletedTask;
    }

    private async Task JumpAsync(PlannedFault fault)
    {
        Begins(fault, $"set the clock of {Names(fault)} off by {Show(fault.Shift)}");
        await cluster.ShiftClockAsync(fault.Targets[0], fault.Shift);
    }

    private void Begins(PlannedFault fault, string what)
    {
        Interlocked.Increment(ref _carriedOut);
        say(what);
        history.Add(new HistoryLine { Event = HistoryLine.Fault, Kind = FaultKinds.NameOf(fault.Kind), What = what });
    }

    /// <summary>A server did what it must never do, whatever becomes of the records.</summary>
    private void Contradict(string what)
    {
        say(what);
        history.Add(new HistoryLine { Event = HistoryLine.Audit, Path = "", Divergent = 1, What = what });
    }

    private string Names(PlannedFault fault) => string.Join(", ", fault.Targets.Select(cluster.NameOf));

    private static string Show(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0##} s");
}
