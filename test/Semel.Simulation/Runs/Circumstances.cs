using System.Globalization;
using Semel.Protocol.Messages;

namespace Semel.Simulation.Runs;

/// <summary>
/// What runs are limited to, so that a rare case becomes a common one. Each is an option of the runner and replaces what the seed would have drawn.
/// </summary>
internal sealed class Circumstances
{
    private readonly List<string> _options = [];

    /// <summary>As on the command line, to replay a run.</summary>
    public override string ToString() => string.Concat(_options.Select(o => $" {o}"));

    public static Circumstances Parse(string[] arguments)
    {
        var result = new Circumstances();
        for (int i = 0; i + 1 < arguments.Length; i++)
        {
            if (arguments[i] is "--master" or "--clients" or "--durability" or "--replicas" or "--window" or "--faults" or "--fault-count" or "--fault-ms" or "--flush-ms" or "--flush-tail-ms" or "--record-bytes"
                or "--regrants" or "--late" or "--servers" or "--min-members" or "--think-ms" or "--fault-interval-ms" or "--quiet-s" or "--records")
                result._options.Add($"{arguments[i]} {arguments[i + 1]}");
        }
        result.ApplyTo(RunPlan.Draw(1));    // a value that cannot be read fails now
        return result;
    }

    public RunPlan ApplyTo(RunPlan plan)
    {
        if (_options.Count > 0)
            plan = plan.WithoutPassingWriters();    // they need a master and clients that know of them
        foreach (string option in _options)
        {
            string[] parts = option.Split(' ');
            plan = Apply(plan, parts[0], parts[1]);
        }
        var kinds = plan.Faults.Where(kind => !plan.HarshMaster || !RunPlan.NeedsRepair(kind, plan.Shape.Durability)).ToList();
        return plan with { Faults = kinds, FaultCount = kinds.Count == 0 ? 0 : plan.FaultCount };
    }

    private static RunPlan Apply(RunPlan plan, string name, string value) => name switch
    {
        "--master" => plan with { HarshMaster = value == "harsh" },
        "--clients" => plan with { BareClients = value == "bare" },
        "--durability" => plan with { Shape = plan.Shape with { Durability = Enum.Parse<Durability>(value, ignoreCase: true) } },
        "--replicas" => plan with { Shape = plan.Shape with { Replicas = Number(value), MinMembers = 1 } },
        "--window" => plan with { Window = Number(value) },
        "--faults" => plan with { Faults = [.. value.Split(',').Select(Enum.Parse<FaultKind>)] },
        "--quiet-s" => plan with { Quiet = TimeSpan.FromSeconds(Number(value)) },
        "--records" => plan with { RecordsPerWriter = Number(value) },
        "--servers" => plan with { Shape = plan.Shape with { ChunkServers = Number(value) } },
        "--min-members" => plan with { Shape = plan.Shape with { MinMembers = Number(value) } },
        "--think-ms" => plan with { ThinkTime = TimeSpan.FromMilliseconds(Number(value)) },
        "--fault-interval-ms" => plan with { FaultInterval = TimeSpan.FromMilliseconds(Number(value)) },
        "--fault-count" => plan with { FaultCount = Number(value) },
        "--fault-ms" => plan with { FaultDuration = TimeSpan.FromMilliseconds(Number(value)) },
        "--record-bytes" => plan with { MaxRecordLength = Number(value) },
        // The harsh master repeats so many percent of its GRANTs where it would else change the view.
        "--regrants" => plan with { Regrants = Number(value) / 100.0 },
        // Every third flush takes up to so much longer than the others: it ends after those that began later.
        "--flush-tail-ms" => plan with { Disk = plan.Disk with { Tail = 0.3, TailFlush = TimeSpan.FromMilliseconds(Number(value)) } },
        // Flushes take up to so long, all of them.
        "--flush-ms" => plan with { Disk = plan.Disk with { MaxFlush = TimeSpan.FromMilliseconds(Number(value)) } },
        // One message in so many is late by up to a second, or comes again then.
        _ => plan with
        {
            Network = plan.Network with
            {
                Tail = 1.0 / Number(value),
                TailLatency = TimeSpan.FromSeconds(1),
                Duplication = 1.0 / Number(value),
                DuplicateDelay = TimeSpan.FromSeconds(1),
                InOrder = false,
            },
        },
    };

    private static int Number(string value) => int.Parse(value, CultureInfo.InvariantCulture);
}
