using System.Diagnostics;
using System.Globalization;
using Semel.Simulation.Kernel;
using Semel.Simulation.PlantedBugs;
using Semel.Simulation.Runs;

// semel-simulation --seed S --runs N [--seconds T] [--trace FILE] [--keep-going] [--hashes] [circumstances, see there]
// semel-simulation planted-bugs [NAME...] [--seeds N]
string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;
bool Flag(string name) => args.Contains(name);

if (args is ["planted-bugs", ..])
{
    var bugs = Catalogue.All.Where(bug => args.Contains(bug.Name)).ToArray();
    using var planting = new Planting(Planting.FindRoot(), int.Parse(Option("--seeds") ?? "500", CultureInfo.InvariantCulture), Console.Out);
    return planting.Run(bugs.Length > 0 ? bugs : Catalogue.All) ? 0 : 1;
}

ulong first = ulong.Parse(Option("--seed") ?? "1", CultureInfo.InvariantCulture);
long runs = long.Parse(Option("--runs") ?? (Option("--seconds") is null ? "100" : "1000000000"), CultureInfo.InvariantCulture);
double seconds = double.Parse(Option("--seconds") ?? "1e9", CultureInfo.InvariantCulture);

var circumstances = Circumstances.Parse(args);

var clock = Stopwatch.StartNew();
var coverage = new SortedDictionary<string, long>(StringComparer.Ordinal);
long done = 0, violations = 0, acknowledged = 0, events = 0;
double virtualSeconds = 0;
string? unobserved = null;
TaskScheduler.UnobservedTaskException += (_, e) =>
{
    if (!e.Exception.InnerExceptions.All(inner => inner is ProcessDiedException or Semel.Client.SemelException))   // an application that was killed looks at nothing
        unobserved ??= e.Exception.ToString();
};
for (; done < runs && clock.Elapsed.TotalSeconds < seconds; done++)
{
    ulong seed = first + (ulong)done;
    using var trace = Option("--trace") is { } file ? new StreamWriter(file) : null;
    var result = RandomRun.Run(seed, trace, circumstances);
    acknowledged += result.Acknowledged;
    events += result.Events;
    virtualSeconds += result.VirtualTime.TotalSeconds;
    foreach (var (mark, times) in result.Coverage)
        coverage[mark] = coverage.GetValueOrDefault(mark) + times;
    if (Flag("--hashes"))
        Console.WriteLine($"seed {seed} hash {result.TraceHash:x16} events {result.Events} acks {result.Acknowledged}");
    if (done % 200 == 199 || done + 1 == runs)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }
    if (unobserved is not null)
    {
        Console.WriteLine($"up to 200 runs before seed {seed}: a task failed and nobody looked: {unobserved}");
        unobserved = null;
        violations++;
    }
    if (result.Failure is null)
        continue;
    violations++;
    Console.WriteLine($"seed {seed} (hash {result.TraceHash:x16}): {result.Failure}");
    Console.WriteLine($"  replay: eng/simulate.sh --seed {seed} --runs 1 --trace simulation.log{circumstances}");
    if (!Flag("--keep-going"))
    {
        done++;
        break;
    }
}
foreach (var (mark, times) in coverage)
    Console.Error.WriteLine($"{times,10} {mark}");
Console.Error.WriteLine($"{events,10} events, {done / clock.Elapsed.TotalSeconds:0.0} runs/s");
Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
    $$"""{"runs":{{done}},"violations":{{violations}},"acks":{{acknowledged}},"virtual_s":{{virtualSeconds:0.0}},"wall_s":{{clock.Elapsed.TotalSeconds:0.0}}}"""));
return violations == 0 ? 0 : 1;
