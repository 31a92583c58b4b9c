using System.Globalization;

namespace Semel.Cli.Commands.Torture;

/// <summary>What is done to a cluster.</summary>
internal enum FaultKind
{
    /// <summary>SIGKILL, and a new start later.</summary>
    Kill,

    /// <summary>SIGSTOP, and SIGCONT later.</summary>
    Pause,

    /// <summary>Nothing passes, or late, between some nodes, in one direction or both.</summary>
    Partition,

    /// <summary>No byte is free on a disk.</summary>
    Full,

    /// <summary>Bits flip in a replica of a sealed chunk.</summary>
    Corrupt,

    /// <summary>A wall clock jumps.</summary>
    Clock,

    /// <summary>
    /// Everything is stopped and comes back one by one, perhaps without a chunk server's data. See <see cref="Torture.ColdStart"/>.
    /// </summary>
    ColdStart,

    /// <summary>The last bytes of a file of a stopped server are damaged. See <see cref="Torture.LastBytes"/>.</summary>
    LastBytes,
}

/// <summary>How a partition treats what is sent.</summary>
internal enum PartitionMode
{
    /// <summary>It arrives when the partition ends.</summary>
    Silent,

    /// <summary>Connections end at the beginning, new ones are as <see cref="Silent"/>.</summary>
    Reset,

    /// <summary>It is late.</summary>
    Slow,
}

/// <summary>A fault as drawn.</summary>
/// <param name="Number">From 1.</param>
/// <param name="At">After the beginning of the run.</param>
/// <param name="Lasts">Until it is undone.</param>
/// <param name="Targets">Nodes (0: the master). More than one for a kill of all.</param>
/// <param name="Links">Of a partition: what does not pass, from and to.</param>
/// <param name="Shift">Of a clock: by how much.</param>
/// <param name="Draw">For choices that depend on what is there: which chunk, which bits.</param>
internal sealed record PlannedFault(
    int Number, FaultKind Kind, TimeSpan At, TimeSpan Lasts, IReadOnlyList<int> Targets, PartitionMode Mode, IReadOnlyList<(int From, int To)> Links, TimeSpan Shift, int Draw)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"#{Number} {Kind} {string.Join(',', Targets)} at {At.TotalMilliseconds:0} for {Lasts.TotalMilliseconds:0} {Mode} {string.Join(' ', Links)} {Shift.TotalMilliseconds:0} {Draw}");
}

/// <summary>
/// The faults of a run, drawn from a seed: the same seed, length, kinds and servers give the same kinds, targets and times. What the operating system makes of them is its own affair.
/// At most two chunk servers are killed, paused or cut off at a time, except when all nodes are killed or stopped at once: then the disks
/// have everything.
/// </summary>
internal static class FaultPlan
{
    private const int MostImpaired = 2;
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(1);

    public static IReadOnlyList<PlannedFault> Draw(int seed, TimeSpan length, IReadOnlyList<FaultKind> kinds, int chunkServers)
    {
        var random = new Random(seed);
        var faults = new List<PlannedFault>();
        var busyUntil = new TimeSpan[chunkServers + 1];
        var at = Quiet;
        // Kinds take turns in a drawn order, so that a short run has each of them.
        var turn = new Queue<FaultKind>();
        while (true)
        {
            at += Seconds(random, 0.6, 3.2);
            if (at >= length - Quiet)
                return faults;
            if (turn.Count == 0)
                turn = new Queue<FaultKind>(kinds.OrderBy(_ => random.Next()));
            var kind = turn.Dequeue();
            if (kind is FaultKind.ColdStart && busyUntil.Max() > at)
                at = busyUntil.Max();   // it needs all of them
            if (at < length - Quiet && DrawOne(random, faults.Count + 1, kind, at, chunkServers, busyUntil) is { } fault)
            {
                faults.Add(fault);
                if (kind is FaultKind.ColdStart)
                    at += fault.Lasts;   // nobody is there to be hurt
            }
        }
    }

    private static PlannedFault? DrawOne(Random random, int number, FaultKind kind, TimeSpan at, int chunkServers, TimeSpan[] busyUntil)
    {
        var free = Enumerable.Range(0, chunkServers + 1).Where(n => busyUntil[n] <= at).ToList();
        bool full = busyUntil.Skip(1).Count(b => b > at) >= MostImpaired;
        int target = kind switch
        {
            FaultKind.Full or FaultKind.Corrupt => random.Next(1, chunkServers + 1),
            FaultKind.Clock => random.Next(0, chunkServers + 1),
            _ => full ? (free.Contains(0) ? 0 : -1) : free.Count == 0 ? -1 : free[random.Next(free.Count)],
        };
        int draw = random.Next();
        if (target < 0)
            return null;
        var fault = new PlannedFault(number, kind, at, TimeSpan.Zero, [target], default, [], default, draw);
        fault = kind switch
        {
            FaultKind.Kill when free.Count == busyUntil.Length && random.Next(6) == 0 =>
                fault with { Lasts = Seconds(random, 0.1, 1), Targets = [.. Enumerable.Range(0, chunkServers + 1)] },
            FaultKind.Kill => fault with { Lasts = Seconds(random, 0.05, 4) },
            // One in six outlasts the lease of 10 s.
            FaultKind.ColdStart => fault with { Lasts = ColdStart.Draw(draw, chunkServers).Lasts, Targets = [.. Enumerable.Range(0, chunkServers + 1)] },
            FaultKind.LastBytes => fault with { Lasts = Seconds(random, 0.05, 3) },
            FaultKind.Pause => fault with { Lasts = random.Next(6) == 0 ? Seconds(random, 10.5, 13) : Seconds(random, 0.2, 5) },
            FaultKind.Partition => DrawPartition(random, fault with { Lasts = Seconds(random, 0.3, 6) }, chunkServers),
            FaultKind.Full => fault with { Lasts = Seconds(random, 0.5, 5) },
            FaultKind.Clock => fault with { Shift = Seconds(random, 0.5, random.Next(2) == 0 ? 10 : 4000) * (random.Next(2) == 0 ? 1 : -1) },
            _ => fault,
        };
        if (kind is FaultKind.Kill or FaultKind.Pause or FaultKind.Partition or FaultKind.ColdStart or FaultKind.LastBytes)
        {
            foreach (int node in fault.Targets)
                busyUntil[node] = at + fault.Lasts + Quiet;
        }
        return fault;
    }

    private static PlannedFault DrawPartition(Random random, PlannedFault fault, int chunkServers)
    {
        int target = fault.Targets[0];
        int nodes = chunkServers + 2;
        var others = Enumerable.Range(0, nodes).Where(n => n != target).ToList();
        // From everybody, from one other node, or from about half of them.
        var cutFrom = random.Next(3) switch
        {
            0 => others,
            1 => [others[random.Next(others.Count)]],
            _ => others.Where(_ => random.Next(2) == 0).DefaultIfEmpty(others[0]).ToList(),
        };
        int direction = random.Next(4);
        var links = cutFrom.SelectMany(o => direction switch
        {
            0 => [(target, o)],
            1 => [(o, target)],
            _ => new[] { (target, o), (o, target) },
        }).ToList();
        return fault with { Links = links, Mode = (PartitionMode)random.Next(3) };
    }

    private static TimeSpan Seconds(Random random, double least, double most) => TimeSpan.FromMilliseconds(Math.Round(1000 * (least + (random.NextDouble() * (most - least)))));
}
