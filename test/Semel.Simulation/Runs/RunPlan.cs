using System.Text;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;

namespace Semel.Simulation.Runs;

/// <summary>What can happen to a cluster.</summary>
internal enum FaultKind
{
    /// <summary>kill -9 of a chunk server, started again after a while.</summary>
    KillServer,

    /// <summary>kill -9 of a chunk server in the middle of a step, between two of its writes or messages.</summary>
    KillServerInStep,

    /// <summary>Loss of power of a chunk server's machine in the middle of a step.</summary>
    PowerFailServerInStep,

    /// <summary>A chunk server's machine loses its power.</summary>
    PowerFailServer,

    /// <summary>All machines lose their power at once.</summary>
    PowerFailAll,

    /// <summary>An operator restarts a chunk server.</summary>
    RestartServer,

    /// <summary>SIGSTOP of a chunk server.</summary>
    PauseServer,
    KillMaster,
    PowerFailMaster,
    PauseMaster,

    /// <summary>kill -9 or loss of power of the master in the middle of a step.</summary>
    MasterDiesInStep,

    /// <summary>Nothing gets from one host to another; the way back is open.</summary>
    CutOneWay,
    CutBothWays,

    /// <summary>A host is cut from all others.</summary>
    Isolate,
    FullDisk,
    SlowDisk,

    /// <summary>Flushes of a chunk server fail for a while.</summary>
    FlushErrors,

    /// <summary>Bytes of a replica rot, on one server for the whole run.</summary>
    Rot,

    /// <summary>The file of another chunk stands in the place of one, on one server for the whole run.</summary>
    ForeignFile,

    /// <summary>A copy of a data directory is made, or put back; of one server for the whole run.</summary>
    RestoreBackup,

    /// <summary>The wall clock of a server is set.</summary>
    ClockJump,

    /// <summary>kill -9 of a writer, which comes back under its name.</summary>
    KillWriter,

    /// <summary>A second incarnation of a writer starts while the first still runs.</summary>
    DoubleWriter,

    /// <summary>Every process stops, in one way or another; the machines come back one by one, in any order.</summary>
    ColdStart,

    /// <summary>
    /// A chunk server's disk is gone for good, also between its start and the others'. An empty server takes its place, or nobody does.
    /// </summary>
    DiskDies,

    /// <summary>
    /// The last frame, entry or slot of a file is damaged, on one machine for the whole run: a chunk server's or the master's.
    /// </summary>
    RotLastBytes,

    /// <summary>A replica's file is cut while its server runs, on one server for the whole run.</summary>
    TruncateRunning,

    /// <summary>A copy of the master's directory is made, or put back.</summary>
    OldMaster,

    /// <summary>A second master is started on a copy of the first one's directory; some are told of it.</summary>
    TwoMasters,

    /// <summary>Long quiet; then servers are gone with their disks, one after another.</summary>
    IdleDeaths,
}

/// <summary>
/// One random run, drawn from its seed. Each run gets its own subset of the faults and its own sizes (swarm): a run that never pauses anyone reaches
/// states that a run with everything at once does not.
/// </summary>
internal sealed record RunPlan
{
    public required ClusterShape Shape { get; init; }
    public required NetworkFaults Network { get; init; }
    public required DiskFaults Disk { get; init; }
    public required IReadOnlyList<FaultKind> Faults { get; init; }

    /// <summary>The real master, or one that replaces primaries for no reason (<see cref="HarshMaster"/>).</summary>
    public required bool HarshMaster { get; init; }

    /// <summary>How often that one repeats its GRANT where it could change the view: a primary that was started anew may not have its ballot again.</summary>
    public required double Regrants { get; init; }

    /// <summary>Writers and readers use the client library; or speak the protocol by themselves, without care.</summary>
    public required bool BareClients { get; init; }

    /// <summary>Faults that are injected.</summary>
    public required int FaultCount { get; init; }

    /// <summary>Mean time between two.</summary>
    public required TimeSpan FaultInterval { get; init; }

    /// <summary>Longest time that a fault lasts.</summary>
    public required TimeSpan FaultDuration { get; init; }
    public required int Files { get; init; }
    public required int WritersPerFile { get; init; }
    public required int RecordsPerWriter { get; init; }
    public required int ReadersPerFile { get; init; }

    /// <summary>One writer of each file appends without a name, at least once.</summary>
    public required bool AnonymousWriter { get; init; }

    /// <summary>Processes of each file that open and close writers without a name; then there are no others, and the file may know only a few.</summary>
    public required int PassingWriters { get; init; }

    /// <summary>Appends that a writer has under way at most.</summary>
    public required int Window { get; init; }
    public required int MaxRecordLength { get; init; }

    /// <summary>One in so many appends is an atomic batch; 0: none.</summary>
    public required int BatchOneIn { get; init; }

    /// <summary>Longest pause of a writer between two appends.</summary>
    public required TimeSpan ThinkTime { get; init; }

    /// <summary>Least time that nobody writes before idle servers die; twice as much at most.</summary>
    public required TimeSpan Quiet { get; init; }

    /// <summary>Disks or what is on them go away, or whole clusters: what a start may believe is at stake, and more is looked at.</summary>
    public bool TouchesDisks => Faults.Any(IsOfAStart);

    public static RunPlan Draw(ulong seed)
    {
        var random = new SimulatedRandom(seed ^ 0x5eed_91a7);
        var durability = random.OneIn(4) ? Durability.Memory : Durability.Group;
        int servers = 3 + (random.OneIn(2) ? random.Below(3) : 0);
        bool harsh = random.OneIn(3);
        var kinds = Enum.GetValues<FaultKind>()
            .Where(kind => !IsOfAStart(kind))
            .Where(_ => random.OneIn(2))
            .Where(kind => !harsh || !NeedsRepair(kind, durability))
            .ToList();
        bool quiet = random.OneIn(10);
        int faults = quiet || kinds.Count == 0 ? 0 : 1 + random.Below(random.OneIn(4) ? 40 : 12);
        var interval = TimeSpan.FromMilliseconds(5 + random.Below(random.OneIn(3) ? 1500 : 250));
        int records = 10 + random.Below(60);
        var plan = new RunPlan
        {
            Shape = new ClusterShape
            {
                ChunkServers = servers,
                Replicas = random.OneIn(6) ? 2 : 3,
                MinMembers = random.OneIn(4) ? 1 : 2,
                ChunkCapacity = random.Pick([64u << 10, 64u << 10, 128u << 10, 1u << 20]),
                Durability = durability,
                MaxDriftPpm = random.Pick([0, 100, 1000]),
                MaxClockOffset = random.Pick([TimeSpan.Zero, TimeSpan.FromSeconds(2), TimeSpan.FromHours(30)]),
                Scrambles = random.OneIn(3),
            },
            Network = new NetworkFaults
            {
                MaxLatency = TimeSpan.FromMicroseconds(60 + random.Below(random.OneIn(4) ? 5000 : 400)),
                Tail = random.OneIn(2) ? 0.03 * random.NextDouble() : 0,
                TailLatency = TimeSpan.FromMilliseconds(1 + random.Below(random.OneIn(5) ? 2000 : 60)),
                Loss = quiet || random.OneIn(2) ? 0 : 0.03 * random.NextDouble(),
                LossBreaksConnection = random.NextDouble(),
                Duplication = quiet || random.OneIn(2) ? 0 : 0.05 * random.NextDouble(),
                DuplicateDelay = TimeSpan.FromMilliseconds(1 + random.Below(random.OneIn(4) ? 5000 : 100)),
                InOrder = random.OneIn(2),
            },
            Disk = new DiskFaults
            {
                MaxFlush = TimeSpan.FromMicroseconds(150 + random.Below(3000)),
                Tail = random.OneIn(2) ? 0.1 * random.NextDouble() : 0,
                TailFlush = TimeSpan.FromMilliseconds(1 + random.Below(random.OneIn(5) ? 700 : 40)),
            },
            HarshMaster = harsh,
            BareClients = random.OneIn(3),
            Faults = kinds,
            FaultCount = faults,
            FaultInterval = interval,
            FaultDuration = TimeSpan.FromMilliseconds(10 + random.Below(random.OneIn(3) ? 6000 : 800)),
            Files = 1 + (random.OneIn(3) ? random.Below(3) : 0),
            WritersPerFile = 1 + random.Below(4),
            RecordsPerWriter = records,
            ReadersPerFile = random.Below(3),
            AnonymousWriter = random.OneIn(4),
            PassingWriters = 0,
            Window = 1 + random.Below(random.OneIn(2) ? 4 : 16),
            MaxRecordLength = random.Pick([100, 2000, 12_000]),
            BatchOneIn = random.Pick([0, 3, 10]),
            ThinkTime = random.OneIn(4) ? TimeSpan.Zero : interval * faults / records * (2 * random.NextDouble()),   // so that most faults meet work
            Regrants = random.Pick([0.25, 0.25, 0.9]),
            Quiet = TimeSpan.FromSeconds(6),
        };
        return WithStartFaults(WithPassingWriters(plan, seed), seed);
    }

    /// <summary>One run in four is about what a start may believe.</summary>
    private static RunPlan WithStartFaults(RunPlan plan, ulong seed)
    {
        var random = new SimulatedRandom(seed ^ 0xc01d_57a7);
        var kinds = Enum.GetValues<FaultKind>()
            .Where(IsOfAStart)
            .Where(_ => random.OneIn(3))
            .Where(kind => !(plan.HarshMaster && NeedsRepair(kind, plan.Shape.Durability)))
            .ToList();
        // While two masters contend nobody repairs, and disks that die one after another take the last copies. That is not promised.
        if (kinds.Exists(IsOfTheMaster) && kinds.Exists(IsOfDyingDisks))
            kinds.RemoveAll(random.OneIn(2) ? IsOfTheMaster : IsOfDyingDisks);
        return seed % 4 != 1 || kinds.Count == 0 ? plan : plan.With(kinds, random);
    }

    private static bool IsOfTheMaster(FaultKind kind) => kind is FaultKind.OldMaster or FaultKind.TwoMasters;

    private static bool IsOfDyingDisks(FaultKind kind) => kind is FaultKind.DiskDies or FaultKind.IdleDeaths;

    /// <summary>A run with these kinds of faults as well: often enough to meet one, with machines enough.</summary>
    private RunPlan With(List<FaultKind> kinds, SimulatedRandom random) => this with
    {
        Faults = [.. Faults.Where(_ => random.OneIn(3)), .. kinds],
        FaultCount = Math.Max(FaultCount, kinds.Count + 1),
        Quiet = random.OneIn(10) ? TimeSpan.FromSeconds(65) : Quiet,
        Shape = Shape with { ChunkServers = kinds.Contains(FaultKind.IdleDeaths) ? Math.Max(4, Shape.ChunkServers) : Shape.ChunkServers },
    };

    private static bool IsOfAStart(FaultKind kind) => kind >= FaultKind.ColdStart;

    public RunPlan WithoutPassingWriters() => PassingWriters == 0
        ? this
        : this with { PassingWriters = 0, WritersPerFile = 2, Shape = Shape with { MaxWritersPerFile = 10_000, WriterTimeToLive = TimeSpan.FromDays(7) } };

    private static RunPlan WithPassingWriters(RunPlan plan, ulong seed)
    {
        var random = new SimulatedRandom(seed ^ 0x9a55_1196);
        if (plan.HarshMaster || plan.BareClients || seed % 8 != 0)
            return plan;
        return plan with
        {
            PassingWriters = 1 + random.Below(3),
            WritersPerFile = 0,
            // Who is idle is told by clocks: with wrong ones a writer may be forgotten early, or never.
            Faults = [.. plan.Faults.Where(f => f != FaultKind.ClockJump)],
            Shape = plan.Shape with
            {
                MaxWritersPerFile = 1 + random.Below(4),
                WriterTimeToLive = TimeSpan.FromMilliseconds(1000 + random.Below(3000)),
                MaxClockOffset = TimeSpan.Zero,
            },
        };
    }

    /// <summary>The harsh master repairs nothing: with it, nothing may happen that damages a replica.</summary>
    public static bool NeedsRepair(FaultKind kind, Durability durability) => kind is FaultKind.Rot or FaultKind.ForeignFile or FaultKind.RestoreBackup or > FaultKind.ColdStart
        || (durability == Durability.Memory && kind is (FaultKind.PowerFailServer or FaultKind.PowerFailAll or FaultKind.PowerFailServerInStep));

    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append($"{Shape.ChunkServers} servers, R={Shape.Replicas}/{Shape.MinMembers}, chunks of {Shape.ChunkCapacity >> 10} KiB, {Shape.Durability}; ");
        text.Append($"{(HarshMaster ? "harsh" : "real")} master, {(BareClients ? "bare" : "library")} clients; {Files} files x {WritersPerFile} writers x {RecordsPerWriter} records <= {MaxRecordLength} B, window {Window}, {ReadersPerFile} readers{(PassingWriters > 0 ? $", {PassingWriters} with passing writers" : "")}; ");
        text.Append($"{FaultCount} faults of [{string.Join(' ', Faults)}] every ~{FaultInterval.TotalMilliseconds:0} ms for <= {FaultDuration.TotalMilliseconds:0} ms; ");
        text.Append($"loss {Network.Loss:0.000}, duplication {Network.Duplication:0.000}, {(Network.InOrder ? "in order" : "reordered")}");
        return text.ToString();
    }
}
