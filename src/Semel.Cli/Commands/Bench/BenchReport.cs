using System.Text;
using Semel.Cli.Commands.Bench.Machine;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>CPU seconds; null: servers of another cluster are not ours to look at.</summary>
internal sealed record CpuSeconds(double Client, double? Chunkservers, double? Master)
{
    public static CpuSeconds Of(RunUsage usage) => new(
        Sum(usage, "client")!.Value, Sum(usage, "chunkserver"), Sum(usage, "master"));

    public static CpuSeconds Median(IReadOnlyCollection<RunUsage> usages)
    {
        var each = usages.Select(Of).ToArray();
        bool known = each[0].Master is not null;
        return new CpuSeconds(
            MedianOf(each.Select(c => c.Client)), known ? MedianOf(each.Select(c => c.Chunkservers!.Value)) : null, known ? MedianOf(each.Select(c => c.Master!.Value)) : null);
    }

    public CpuSeconds Per(double units) => new(Math.Round(Client / units, 3), Round(Chunkservers / units), Round(Master / units));

    private static double? Sum(RunUsage usage, string name)
    {
        var found = usage.Processes.Where(p => p.Name.StartsWith(name, StringComparison.Ordinal)).ToArray();
        return found.Length == 0 ? null : Math.Round(found.Sum(p => p.CpuS), 2);
    }

    private static double MedianOf(IEnumerable<double> values) => Math.Round(Spread.Of(values).Median, 3);

    private static double? Round(double? value) => value is null ? null : Math.Round(value.Value, 3);
}

/// <summary>Microseconds; the buckets are an upper bound and how many there were up to it and above the one before.</summary>
internal sealed record LatencyShape(double P50, double P90, double P99, double P999, double Max, double[][] Histogram)
{
    public static LatencyShape Of(LatencyHistogram histogram) => new(
        At(histogram, 0.5), At(histogram, 0.9), At(histogram, 0.99), At(histogram, 0.999), Math.Round(histogram.MaxTicks / 10.0, 1),
        [.. histogram.Coarse().Select(b => new[] { b.UpToMicroseconds, b.Count })]);

    public static double At(LatencyHistogram histogram, double share) => Math.Round(histogram.MicrosecondsAt(share), 1);
}

/// <summary>One run as it is reported.</summary>
internal sealed record RunShape(
    double Seconds, double RecordsPerS, double MbPerS, double P50Us, double P99Us, double MaxUs, CpuSeconds CpuS, double? ForeignCpuShare, long UnderReplicated, ProcessUse[] Processes)
{
    public static RunShape Of(RunResult run, int size) => new(
        Math.Round(run.Seconds, 4), Math.Round(run.Records / run.Seconds, 1), Math.Round(run.Records * (double)size / run.Seconds / 1e6, 3),
        LatencyShape.At(run.Latencies, 0.5), LatencyShape.At(run.Latencies, 0.99), Math.Round(run.Latencies.MaxTicks / 10.0, 1),
        CpuSeconds.Of(run.Usage), run.Usage.ForeignCpuShare, run.UnderReplicated, run.Usage.Processes);
}

/// <summary>The last line of <c>--json</c>: figures are medians over the runs, latencies those of all runs together. The keys are API.</summary>
internal sealed record BenchShape(
    long Records, long Size, int Writers, int Files, int Replicas, string Durability, string Delivery, int Batch, int KnownWriters, int? InFlight, double? Rate,
    double Seconds, double RecordsPerS, double MbPerS, double P50Us, double P99Us, double MaxUs, bool? Verified, CpuSeconds CpuS,
    CpuSeconds CpuSPerMillion, CpuSeconds? CpuSPerGib, long DiskWrittenBytes, double WarmUpS, Dictionary<string, Spread> Spread,
    LatencyShape LatencyUs, LatencyShape? LatenessUs, int? Readers, LatencyShape? EndToEndUs, BenchShape? WithoutReaders, double? AppendsKept,
    long UnderReplicated, RunShape[] Runs, MachineShape? Machine);

/// <summary>What was measured, for programs and for people.</summary>
internal sealed class BenchReport
{
    private readonly BenchShape _shape;

    private BenchReport(BenchShape shape) => _shape = shape;

    public static BenchReport OfAppend(BenchOptions options, List<RunResult> runs, MachineShape? machine) => new(ShapeOf(options, runs, machine));

    public static BenchReport OfTail(BenchOptions options, List<RunResult> followed, List<RunResult> alone, MachineShape? machine)
    {
        var shape = ShapeOf(options, followed, machine);
        var without = ShapeOf(options, alone, null);
        return new BenchReport(shape with
        {
            Readers = options.Readers,
            EndToEndUs = LatencyShape.Of(LatencyHistogram.Sum(followed.Select(r => r.EndToEnd!))),
            WithoutReaders = without,
            AppendsKept = Math.Round(shape.RecordsPerS / without.RecordsPerS, 3),
        });
    }

    public string ToJson() => JsonLine.Of(_shape);

    public string ToText()
    {
        var s = _shape;
        var text = new StringBuilder();
        string load = s.Rate is { } rate ? $"at {rate:N0} records/s" : $"{s.InFlight} in flight per writer";
        text.AppendLine(FormattableString.Invariant(
            $"{s.Records} records of {s.Size} bytes in {s.Seconds:0.000} s: {s.RecordsPerS:N0} records/s, {s.MbPerS:0.0} MB/s{Runs(s)}"));
        text.AppendLine(FormattableString.Invariant($"{s.Writers} writers, {s.Files} files, {s.Replicas} replicas, {s.Durability}, {s.Delivery}, {load}"));
        text.AppendLine(FormattableString.Invariant(
            $"latency p50 {s.LatencyUs.P50:N0} us, p90 {s.LatencyUs.P90:N0} us, p99 {s.LatencyUs.P99:N0} us, p99.9 {s.LatencyUs.P999:N0} us, max {s.LatencyUs.Max:N0} us"));
        if (s.LatenessUs is { } late)
            text.AppendLine(FormattableString.Invariant($"started late p50 {late.P50:N0} us, p99 {late.P99:N0} us (counted in the latency)"));
        if (s.EndToEndUs is { } e)
        {
            text.AppendLine(FormattableString.Invariant($"{s.Readers} readers: from append to reader p50 {e.P50:N0} us, p99 {e.P99:N0} us, max {e.Max:N0} us"));
            text.AppendLine(FormattableString.Invariant($"without readers {s.WithoutReaders!.RecordsPerS:N0} records/s; with them {s.AppendsKept:P0} of that"));
        }
        string servers = s.CpuS.Master is null ? "" : FormattableString.Invariant($", chunk servers {s.CpuS.Chunkservers:0.00} s, master {s.CpuS.Master:0.00} s");
        text.AppendLine(FormattableString.Invariant($"cpu: client {s.CpuS.Client:0.00} s{servers}"));
        if (s.CpuSPerMillion.Master is not null)
        {
            text.AppendLine(FormattableString.Invariant(
                $"cpu per million records: client {s.CpuSPerMillion.Client:0.00} s, chunk servers {s.CpuSPerMillion.Chunkservers:0.00} s; written to disk {s.DiskWrittenBytes / 1e6:N0} MB"));
        }
        double? foreign = s.Runs.Max(r => r.ForeignCpuShare);
        if (foreign > 0.05)
            text.AppendLine(FormattableString.Invariant($"other processes took up to {foreign:P0} of the processors: compare ratios of one run only"));
        if (s.UnderReplicated > 0)
            text.AppendLine(FormattableString.Invariant($"up to {s.UnderReplicated:N0} chunks had too few replicas at the end of a run: this is not the rate of {s.Replicas} replicas"));
        if (s.Machine is { } machine)
            text.AppendLine(machine.ToText());
        text.Append(s.Verified is true ? "verified: everything acknowledged was read back, nothing else" : "not verified");
        return text.ToString();
    }

    private static string Runs(BenchShape s) => s.Runs.Length == 1 ? "" : FormattableString.Invariant(
        $" (median of {s.Runs.Length} runs, {s.Spread["records_per_s"].Min:N0} to {s.Spread["records_per_s"].Max:N0})");

    private static BenchShape ShapeOf(BenchOptions options, List<RunResult> results, MachineShape? machine)
    {
        var runs = results.Select(r => RunShape.Of(r, options.Size)).ToArray();
        var spread = new Dictionary<string, Spread>
        {
            ["seconds"] = Spread.Of(runs.Select(r => r.Seconds)),
            ["records_per_s"] = Spread.Of(runs.Select(r => r.RecordsPerS)),
            ["p50_us"] = Spread.Of(runs.Select(r => r.P50Us)),
            ["p99_us"] = Spread.Of(runs.Select(r => r.P99Us)),
        };
        var cpu = CpuSeconds.Median([.. results.Select(r => r.Usage)]);
        long records = (long)Spread.Of(results.Select(r => (double)r.Records)).Median;
        double gib = records * (double)options.Size / (1 << 30);
        return new BenchShape(
            records, options.Size, options.Writers, options.Files, options.Replicas, options.Durability.ToString().ToLowerInvariant(),
            options.Delivery is Delivery.ExactlyOnce ? "exactly-once" : "at-least-once", options.Batch, options.KnownWriters, options.Rate is null ? options.InFlight : null, options.Rate,
            spread["seconds"].Median, spread["records_per_s"].Median, Math.Round(Spread.Of(runs.Select(r => r.MbPerS)).Median, 3),
            spread["p50_us"].Median, spread["p99_us"].Median, runs.Max(r => r.MaxUs), options.Verify ? true : null, cpu,
            cpu.Per(records / 1e6), gib == 0 ? null : cpu.Per(gib), (long)Spread.Of(results.Select(r => (double)r.Usage.Processes.Sum(p => p.DiskWrittenBytes))).Median,
            options.WarmUp.TotalSeconds, spread, LatencyShape.Of(LatencyHistogram.Sum(results.Select(r => r.Latencies))),
            options.Rate is null ? null : LatencyShape.Of(LatencyHistogram.Sum(results.Select(r => r.Lateness!))),
            null, null, null, null, runs.Max(r => r.UnderReplicated), runs, machine);
    }
}
