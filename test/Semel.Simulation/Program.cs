using System.Diagnostics;
using System.Globalization;
using Semel.Simulation.Runs;

// semel-simulation --seed S --runs N [--seconds T] [--trace FILE] [--keep-going] [--hashes]
string? Option(string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;
bool Flag(string name) => args.Contains(name);

ulong first = ulong.Parse(Option("--seed") ?? "1", CultureInfo.InvariantCulture);
long runs = long.Parse(Option("--runs") ?? (Option("--seconds") is null ? "100" : "1000000000"), CultureInfo.InvariantCulture);
double seconds = double.Parse(Option("--seconds") ?? "1e9", CultureInfo.InvariantCulture);

var clock = Stopwatch.StartNew();
var coverage = new SortedDictionary<string, long>(StringComparer.Ordinal);
long done = 0, violations = 0, acknowledged = 0, events = 0;
double virtualSeconds = 0;
for (; done < runs && clock.Elapsed.TotalSeconds < seconds; done++)
{
    ulong seed = first + (ulong)done;
    using var trace = Option("--trace") is { } file ? new StreamWriter(file) : null;
    var result = RandomRun.Run(seed, trace);
    acknowledged += result.Acknowledged;
    events += result.Events;
    virtualSeconds += result.VirtualTime.TotalSeconds;
    foreach (var (mark, times) in result.Coverage)
        coverage[mark] = coverage.GetValueOrDefault(mark) + times;
    if (Flag("--hashes"))
        Console.WriteLine($"seed {seed} hash {result.TraceHash:x16} events {result.Events} acks {result.Acknowledged}");
    if (result.Failure is null)
        continue;
    violations++;
    Console.WriteLine($"seed {seed} (hash {result.TraceHash:x16}): {result.Failure}");
    Console.WriteLine($"  replay: eng/simulate.sh --seed {seed} --runs 1 --trace simulation.log");
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
