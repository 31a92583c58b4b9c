using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

public sealed class BenchTests
{
    private static readonly string[] Figures = ["records_per_s", "mb_per_s", "p50_us", "p99_us", "seconds", "max_us"];

    [Theory]
    [InlineData("primary")]
    [InlineData("secondary")]
    public async Task Appends_go_on_when_a_chunk_server_is_killed(string victim)
    {
        var bench = await Shell.RunAsync("bench", "failover", "--rounds", "1", "--writers", "2", "--victim", victim, "--json");

        Assert.Equal(ExitCode.Done, bench.ExitCode);
        using var shape = JsonDocument.Parse(bench.Lines.Last());
        Assert.True(shape.RootElement.GetProperty("verified").GetBoolean());
        Assert.True(shape.RootElement.GetProperty("records").GetInt64() > 0);
        Assert.InRange(shape.RootElement.GetProperty("max_ms").GetDouble(), 0.01, 30_000);     // a slow machine is slow; the figure is for people
    }

    [Theory]
    [InlineData("--durability", "memory")]
    [InlineData("--delivery", "at-least-once", "--verify")]
    [InlineData("--batch", "10")]
    [InlineData("--in-flight", "1", "--writers", "4", "--files", "2")]
    [InlineData("--rate", "20000", "--batch", "4")]
    [InlineData("--known-writers", "100", "--files", "2")]
    public async Task The_last_line_of_a_benchmark_is_one_JSON_object(params string[] arguments)
    {
        var root = await MeasureAsync(["bench", "append", "--records", "2000", "--size", "100", .. arguments]);

        Assert.Equal(2000, root.GetProperty("records").GetInt64());
        Assert.True(root.GetProperty("verified").GetBoolean());
        foreach (string key in Figures)
            Assert.True(root.GetProperty(key).GetDouble() > 0, key);
        Assert.Equal(["client", "chunkservers", "master"], UpTests.Keys(root.GetProperty("cpu_s").GetRawText()));
    }

    [Fact]
    public async Task Several_runs_give_medians_and_their_spread()
    {
        var root = await MeasureAsync("bench", "append", "--records", "1000", "--size", "100", "--runs", "3", "--durability", "memory");

        var rates = root.GetProperty("runs").EnumerateArray().Select(r => r.GetProperty("records_per_s").GetDouble()).Order().ToArray();
        var spread = root.GetProperty("spread").GetProperty("records_per_s");
        Assert.Equal(3, rates.Length);
        Assert.Equal(rates[1], root.GetProperty("records_per_s").GetDouble());
        Assert.Equal((rates[0], rates[2]), (spread.GetProperty("min").GetDouble(), spread.GetProperty("max").GetDouble()));
        Assert.Equal(3000, root.GetProperty("latency_us").GetProperty("histogram").EnumerateArray().Sum(b => b[1].GetInt64()));
    }

    [Fact]
    public async Task Chunks_that_had_too_few_replicas_are_told_beside_the_rate()
    {
        using var directory = new TemporaryDirectory();
        await using var cluster = await YamlCluster.StartAsync(directory.Path, chunkServers: 3);
        string[] bench = ["bench", "append", "--records", "1000", "--size", "100", "--master", cluster.Master];
        await cluster.KillAsync(3);

        var lacking = await MeasureAsync(bench);
        var text = await Shell.RunAsync([.. bench, "--warm-up", "100ms"]);

        Assert.InRange(lacking.GetProperty("under_replicated").GetInt64(), 1, 100);
        Assert.Contains("this is not the rate of 3 replicas", text.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_benchmark_of_a_duration_counts_what_was_acknowledged_in_it()
    {
        var root = await MeasureAsync("bench", "append", "--duration", "300ms", "--size", "100", "--writers", "2");

        Assert.True(root.GetProperty("records").GetInt64() > 0);
        Assert.True(root.GetProperty("seconds").GetDouble() >= 0.3);
        Assert.True(root.GetProperty("verified").GetBoolean());
    }

    [Fact]
    public async Task A_paced_load_keeps_its_rate_and_counts_latency_from_when_a_record_was_due()
    {
        var root = await MeasureAsync("bench", "append", "--records", "1000", "--size", "100", "--rate", "1000", "--durability", "memory");

        // A machine that is too busy makes it slower, nothing makes it faster.
        Assert.InRange(root.GetProperty("records_per_s").GetDouble(), 1, 1010);
        Assert.True(root.GetProperty("latency_us").GetProperty("p50").GetDouble() >= root.GetProperty("lateness_us").GetProperty("p50").GetDouble() / 2);
        Assert.Equal(JsonValueKind.Null, root.GetProperty("in_flight").ValueKind);
    }

    [Fact]
    public async Task Readers_that_follow_a_file_meet_every_record_of_it()
    {
        var root = await MeasureAsync("bench", "tail", "--records", "2000", "--readers", "3", "--durability", "memory");

        Assert.Equal(3, root.GetProperty("readers").GetInt32());
        Assert.Equal(3 * 2000, root.GetProperty("end_to_end_us").GetProperty("histogram").EnumerateArray().Sum(b => b[1].GetInt64()));
        Assert.True(root.GetProperty("appends_kept").GetDouble() > 0);
        Assert.Equal(2000, root.GetProperty("without_readers").GetProperty("records").GetInt64());
        Assert.True(root.GetProperty("verified").GetBoolean());
    }

    [Fact]
    public async Task The_machine_s_limits_are_measured_on_demand()
    {
        var root = await MeasureAsync("bench", "append", "--records", "100", "--size", "100", "--machine", "--warm-memory", "8MiB");

        foreach (var limit in root.GetProperty("machine").EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.Number))
            Assert.True(limit.Value.GetDouble() > 0, limit.Name);
        Assert.Contains(root.GetProperty("machine").GetProperty("memory_is_warm").ValueKind, new[] { JsonValueKind.True, JsonValueKind.False });
    }

    [Fact]
    public async Task A_benchmark_of_a_cluster_that_is_there_leaves_nothing_behind()
    {
        await using var up = Shell.Begin("up", "--ephemeral", "--port", "0", "--json");
        using var ready = JsonDocument.Parse((await up.ReadUntilAsync(l => l == "ready"))[0]);
        string master = ready.RootElement.GetProperty("master").GetString()!;

        var root = await MeasureAsync("bench", "append", "--records", "500", "--size", "10", "--master", master);

        Assert.Equal(JsonValueKind.Null, root.GetProperty("cpu_s").GetProperty("master").ValueKind);
        Assert.Empty((await Shell.RunAsync("ls", "/bench", "--master", master)).Lines);
    }

    private static async Task<JsonElement> MeasureAsync(params string[] arguments)
    {
        var bench = await Shell.RunAsync([.. arguments, "--json", .. arguments[1] == "machine" ? Array.Empty<string>() : ["--warm-up", "100ms"]]);

        Assert.Equal((ExitCode.Done, ""), (bench.ExitCode, bench.Error));
        using var shape = JsonDocument.Parse(bench.Lines.Last());
        return shape.RootElement.Clone();
    }
}
