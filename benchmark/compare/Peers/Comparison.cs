using System.Globalization;
using System.Text;
using System.Text.Json;
using Semel.Cli.Commands.Bench;

namespace Semel.Peers;

/// <summary>One system at one work, over all repetitions: medians.</summary>
internal sealed record Measured(
    string Work, string System, int Runs, Spread RecordsPerS, double MbPerS, double P50Us, double P99Us, double? ServerCpuSPerMillion, double ClientCpuSPerMillion,
    double DiskBytesPerByte, double? ForeignCpuShare, long UnderReplicated);

/// <summary>A peer and Semel, measured alternately at the same work; or, without a peer, a work that only Semel was measured at.</summary>
internal sealed record Pair(string Work, string Acknowledged, Measured? Peer, Measured Semel)
{
    public double? Ratio => Peer is null ? null : Rounded(Semel.RecordsPerS.Median / Peer.RecordsPerS.Median);
    public double? LatencyRatio => Peer is null ? null : Rounded(Semel.P50Us / Peer.P50Us);
    public double? CpuRatio => Peer?.ServerCpuSPerMillion is null or 0 ? null : Rounded(Semel.ServerCpuSPerMillion!.Value / Peer.ServerCpuSPerMillion.Value);

    /// <summary>Two decimals, or two digits where these would be zeros.</summary>
    private static double Rounded(double ratio) => Math.Round(ratio, ratio is >= 0.1 or <= 0 ? 2 : Math.Min(15, 1 - (int)Math.Floor(Math.Log10(ratio))));
}

/// <summary>What was measured, what could not be, and on which machine. Reads the lines that <c>run.sh</c> collects.</summary>
internal sealed record Comparison(List<Pair> Pairs, List<(string System, string Reason)> Missing, List<string> Failed, JsonElement? Machine)
{
    public static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = false };

    public static Comparison Read(IEnumerable<string> lines)
    {
        var runs = new Dictionary<(string Work, string Peer), (string Acknowledged, List<JsonElement> OfPeer, List<JsonElement> OfSemel)>();
        var missing = new List<(string, string)>();
        var failed = new List<string>();
        JsonElement? machine = null;
        foreach (string line in lines.Where(l => l.Length > 0))
        {
            var root = JsonDocument.Parse(line).RootElement;
            if (root.TryGetProperty("missing", out var reason))
                missing.Add((root.GetProperty("system").GetString()!, reason.GetString()!));
            else if (root.TryGetProperty("failed", out var failure))
                failed.Add(failure.GetString()!);
            else if (root.TryGetProperty("machine", out var limits))
                machine = limits;
            else
            {
                var key = (root.GetProperty("work").GetString()!, root.GetProperty("peer").GetString()!);
                if (!runs.TryGetValue(key, out var found))
                    runs[key] = found = (root.GetProperty("acknowledged").GetString()!, [], []);
                (root.GetProperty("system").GetString() == "semel" ? found.OfSemel : found.OfPeer).Add(root.GetProperty("result"));
            }
        }
        return new Comparison(
            [.. runs.Where(r => r.Value.OfSemel.Count > 0 && (r.Value.OfPeer.Count > 0 || r.Key.Peer.Length == 0)).Select(r => new Pair(
                r.Key.Work, r.Value.Acknowledged, r.Value.OfPeer.Count == 0 ? null : Of(r.Key.Work, r.Key.Peer, r.Value.OfPeer), Of(r.Key.Work, "semel", r.Value.OfSemel)))],
            missing, failed, machine);
    }

    public string ToJson() => JsonSerializer.Serialize(new
    {
        pairs = Pairs,
        missing = Missing.Select(m => new { system = m.System, reason = m.Reason }),
        failed = Failed,
        machine = Machine,
    }, Json);

    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.AppendLine("| work | system | acknowledged when | records/s (min to max) | MB/s | p50 ms | p99 ms | server CPU s per million | client CPU s per million | disk bytes per byte | ratio |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var pair in Pairs)
        {
            if (pair.Peer is not null)
                Row(text, pair.Peer, pair.Acknowledged, "");
            string ratio = pair.Ratio is null ? "" : FormattableString.Invariant($"**{pair.Ratio}** × rate, {pair.LatencyRatio} × p50, {pair.CpuRatio} × CPU");
            Row(text, pair.Semel, pair.Work.Contains("group", StringComparison.Ordinal) ? "fdatasync on 3" : "page cache of 3", ratio);
        }
        text.AppendLine();
        text.AppendLine("Medians; a ratio is Semel's figure divided by that of the peer above it, measured alternately in the same run.");
        foreach (var (system, reason) in Missing)
            text.AppendLine($"* Not measured: {system}. {reason}");
        foreach (string failure in Failed)
            text.AppendLine($"* Failed, and therefore without a rate: {failure}");
        foreach (var pair in Pairs.Where(p => p.Semel.UnderReplicated > 0))
            text.AppendLine(FormattableString.Invariant($"* {pair.Work}: {pair.Semel.UnderReplicated:N0} chunks of Semel had too few replicas at the end of a run, so that is not the rate of 3."));
        double? foreign = Pairs.Max(p => p.Semel.ForeignCpuShare);
        if (foreign > 0.1)
            text.AppendLine(FormattableString.Invariant($"* Up to {foreign:P0} of the processors went to other processes: only ratios mean something."));
        if (Machine is { } machine)
        {
            text.AppendLine();
            text.AppendLine("The machine in the same minutes: " + string.Join(", ", machine.EnumerateObject().Select(p => $"{p.Name} {p.Value}")) + ".");
        }
        return text.ToString();
    }

    private static void Row(StringBuilder text, Measured m, string acknowledged, string ratio) => text.AppendLine(string.Create(CultureInfo.InvariantCulture,
        $"| {m.Work} | {m.System} | {acknowledged} | {m.RecordsPerS.Median:N0} ({m.RecordsPerS.Min:N0} to {m.RecordsPerS.Max:N0}) | {m.MbPerS:0.#} | {m.P50Us / 1000:0.00} | {m.P99Us / 1000:0.0} | {m.ServerCpuSPerMillion:0.00} | {m.ClientCpuSPerMillion:0.00} | {m.DiskBytesPerByte:0.0} | {ratio} |"));

    private static Measured Of(string work, string system, List<JsonElement> runs) => new(
        work, system, runs.Count, Spread.Of(runs.Select(r => D(r, "records_per_s"))), Median(runs, r => D(r, "mb_per_s")), Median(runs, r => D(r, "p50_us")), Median(runs, r => D(r, "p99_us")),
        Median(runs, r => ServerCpu(r) / D(r, "records") * 1e6), Median(runs, r => ClientCpu(r) / D(r, "records") * 1e6),
        Median(runs, r => D(r, "disk_written_bytes") / (D(r, "records") * D(r, "size"))),
        runs.Max(r => r.TryGetProperty("runs", out var each) && each[0].GetProperty("foreign_cpu_share") is { ValueKind: JsonValueKind.Number } share ? share.GetDouble() : (double?)null),
        runs.Max(r => r.TryGetProperty("under_replicated", out var chunks) ? chunks.GetInt64() : 0));

    private static double ServerCpu(JsonElement run) =>
        run.TryGetProperty("cpu_s", out var cpu) ? D(cpu, "chunkservers") + D(cpu, "master") : D(run, "server_cpu_s");

    private static double ClientCpu(JsonElement run) => run.TryGetProperty("cpu_s", out var cpu) ? D(cpu, "client") : D(run, "client_cpu_s");

    private static double Median(List<JsonElement> runs, Func<JsonElement, double> figure) => Math.Round(Spread.Of(runs.Select(figure)).Median, 3);

    private static double D(JsonElement element, string key) => element.GetProperty(key).GetDouble();
}
