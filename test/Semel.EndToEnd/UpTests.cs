using System.Net.Sockets;
using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

/// <summary><c>semel up</c> and the verbs that speak to it.</summary>
public sealed class UpTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_second_up_on_the_same_data_finds_everything()
    {
        await using (var first = await Up.StartAsync(_directory.Path))
        {
            var appended = await Shell.RunAsync("one\n\nthree\n", ["append", "/demo/log", "--create", "--writer", "w", "--json", "--master", first.Master]);
            Assert.Equal((ExitCode.Done, ""), (appended.ExitCode, appended.Error));
            Assert.Equal("one\n\nthree\n", (await Shell.RunAsync("cat", "/demo/log", "--master", first.Master)).Output);
            Assert.Equal(ExitCode.Done, await first.StopAsync());
        }

        await using var second = await Up.StartAsync(_directory.Path);
        await Shell.RunAsync("four\n", ["append", "/demo/log", "--writer", "w", "--master", second.Master]);
        var read = await Shell.RunAsync("cat", "/demo/log", "--master", second.Master);

        Assert.Equal((ExitCode.Done, "one\n\nthree\nfour\n"), (read.ExitCode, read.Output));
    }

    [Fact]
    public async Task Up_says_where_it_is_and_what_to_try_and_then_ready()
    {
        await using var up = Shell.Begin("up", "--port", "0", "--data", _directory.Path);
        var lines = await up.ReadUntilAsync(l => l == "ready");

        Assert.Contains(lines, l => l.Contains("http://127.0.0.1:", StringComparison.Ordinal));
        Assert.Equal(3, lines.Count(l => l.Contains(" semel ", StringComparison.Ordinal)));
        up.Interrupt();
        Assert.Equal(ExitCode.Done, (await up.EndAsync()).ExitCode);
    }

    [Fact]
    public async Task An_ephemeral_cluster_leaves_nothing_behind()
    {
        await using var up = Shell.Begin("up", "--port", "0", "--ephemeral", "--json");
        using var shape = JsonDocument.Parse(await up.ReadLineAsync());
        string data = shape.RootElement.GetProperty("data").GetString()!;
        Assert.True(Directory.Exists(data));

        up.Terminate();

        Assert.Equal(ExitCode.Done, (await up.EndAsync()).ExitCode);
        Assert.False(Directory.Exists(data));
    }

    [Fact]
    public async Task The_JSON_of_each_verb_has_its_keys()
    {
        await using var up = await Up.StartAsync(_directory.Path);
        string[] at = ["--json", "--master", up.Master];

        var append = await Shell.RunAsync("ab\ncde\n", ["append", "/d/log", "--create", "--writer", "w", .. at]);
        var records = await Shell.RunAsync(["records", "/d/log", .. at]);
        var stat = await Shell.RunAsync(["stat", "/d/log", .. at]);
        var ls = await Shell.RunAsync(["ls", "/d", .. at]);
        var status = await Shell.RunAsync(["cluster", "status", .. at]);

        Assert.Equal(["path", "writer", "epoch", "records", "first_sequence", "last_sequence", "bytes", "seconds", "compared", "not_compared"], Keys(append.Output));
        using (var json = JsonDocument.Parse(append.Output))
        {
            Assert.Equal("/d/log", json.RootElement.GetProperty("path").GetString());
            Assert.Equal("w", json.RootElement.GetProperty("writer").GetString());
            Assert.Equal((2, 1, 2, 5), (Int(json, "records"), Int(json, "first_sequence"), Int(json, "last_sequence"), Int(json, "bytes")));
        }
        Assert.Equal(2, records.Lines.Length);
        Assert.Equal(["chunk", "offset", "length", "writer", "epoch", "sequence", "time", "position"], Keys(records.Lines[0]));
        using (var json = JsonDocument.Parse(records.Lines[1]))
            Assert.Equal((0, 3, 2), (Int(json, "chunk"), Int(json, "length"), Int(json, "sequence")));
        Assert.Equal(["path", "type", "file_id", "replicas", "durability", "chunk_capacity", "chunks", "sealed_bytes", "writers", "created"], Keys(stat.Output));
        Assert.Equal(["name", "path", "type", "file_id", "chunks", "created"], Keys(ls.Output));
        Assert.Equal(
            ["cluster_id", "master_epoch", "recovering", "files", "directories", "chunks", "under_replicated", "chunk_capacity", "replicas", "withholds", "loss_proven", "unavailable", "unavailable_chunks", "servers"],
            Keys(status.Output));
    }

    [Fact]
    public async Task Each_failure_has_its_exit_code()
    {
        await using var up = await Up.StartAsync(_directory.Path);
        string[] at = ["--master", up.Master];
        await Shell.RunAsync("x\n", ["append", "/d/log", "--create", .. at]);

        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync(["cat", "/nowhere", .. at])).ExitCode);
        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync(["append", "/nowhere", .. at])).ExitCode);
        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync(["rm", "/nowhere", .. at])).ExitCode);
        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync(["mkdir", "/no/where", .. at])).ExitCode);
        Assert.Equal(ExitCode.Conflict, (await Shell.RunAsync(["mkdir", "/d", .. at])).ExitCode);
        Assert.Equal(ExitCode.Conflict, (await Shell.RunAsync(["rm", "/d", .. at])).ExitCode);
        Assert.Equal(ExitCode.Conflict, (await Shell.RunAsync(["cat", "/d", .. at])).ExitCode);
        Assert.Equal(ExitCode.WrongUsage, (await Shell.RunAsync(["records", "/d/log", "--from", "0:7:0", .. at])).ExitCode);
        Assert.Equal(ExitCode.WrongUsage, (await Shell.RunAsync(["mkdir", "/" + new string('x', 256), .. at])).ExitCode);
        Assert.Equal(ExitCode.Done, (await Shell.RunAsync(["mkdir", "-p", "/d", .. at])).ExitCode);
        Assert.Equal(ExitCode.Done, (await Shell.RunAsync(["rm", "-r", "/d", .. at])).ExitCode);
        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync(["stat", "/d/log", .. at])).ExitCode);
    }

    [Fact]
    public async Task A_record_may_have_a_quarter_of_a_chunk_and_no_more()
    {
        await using var up = await Up.StartAsync(_directory.Path, "--chunk-size", "1MiB");
        string[] at = ["--master", up.Master];
        string largest = new('x', 256 * 1024);

        var fits = await Shell.RunAsync(largest, ["append", "/log", "--create", "--whole", .. at]);
        var tooLarge = await Shell.RunAsync(largest + "x", ["append", "/log", "--whole", .. at]);

        Assert.Equal(ExitCode.Done, fits.ExitCode);
        Assert.Equal(ExitCode.WrongUsage, tooLarge.ExitCode);
        Assert.Contains("262144", tooLarge.Error, StringComparison.Ordinal);
        Assert.Equal(largest, (await Shell.RunAsync(["cat", "/log", "--raw", .. at])).Output);
    }

    [Fact]
    public async Task Repeating_an_import_with_resume_appends_each_line_once()
    {
        await using var up = await Up.StartAsync(_directory.Path, "--chunk-size", "1MiB");
        string[] append = ["append", "/log", "--create", "--writer", "import", "--resume", "--json", "--master", up.Master];
        string all = string.Concat(Enumerable.Range(1, 30_000).Select(i => $"line {i} of an import that is interrupted\n"));

        var part = await Shell.RunAsync(all[..400_017].AsSpan(0, all.LastIndexOf('\n', 400_016) + 1).ToString(), append);
        var rest = await Shell.RunAsync(all, append);
        var again = await Shell.RunAsync(all, append);

        Assert.Equal((ExitCode.Done, ExitCode.Done, ExitCode.Done), (part.ExitCode, rest.ExitCode, again.ExitCode));
        using (var first = JsonDocument.Parse(part.Output))
        using (var second = JsonDocument.Parse(rest.Output))
            Assert.Equal(30_000, Int(first, "records") + Int(second, "records"));
        using (var third = JsonDocument.Parse(again.Output))
            Assert.Equal((0, 30_000), (Int(third, "records"), Int(third, "last_sequence")));
        Assert.Equal(all, (await Shell.RunAsync("cat", "/log", "--master", up.Master)).Output);
    }

    [Fact]
    public async Task Tail_follows_a_file_until_it_is_interrupted()
    {
        await using var up = await Up.StartAsync(_directory.Path);
        string[] at = ["--master", up.Master];
        await Shell.RunAsync("1\n2\n3\n4\n", ["append", "/log", "--create", .. at]);
        Assert.Equal("3\n4\n", (await Shell.RunAsync(["tail", "-n", "2", "/log", .. at])).Output);

        await using var tail = Shell.Begin(["tail", "-f", "-n", "1", "/log", .. at]);
        Assert.Equal("4", await tail.ReadLineAsync());
        await Shell.RunAsync("5\n6\n", ["append", "/log", .. at]);
        Assert.Equal("5", await tail.ReadLineAsync());
        Assert.Equal("6", await tail.ReadLineAsync());
        tail.Interrupt();
        Assert.Equal(ExitCode.Interrupted, (await tail.EndAsync()).ExitCode);

        await using var terminated = Shell.Begin(["tail", "-f", "/log", .. at]);
        await terminated.ReadLineAsync();
        terminated.Terminate();
        Assert.Equal(ExitCode.Terminated, (await terminated.EndAsync()).ExitCode);
    }

    [Fact]
    public async Task Reading_ends_when_nobody_reads_the_output()
    {
        await using var up = await Up.StartAsync(_directory.Path);
        await Shell.RunAsync(string.Concat(Enumerable.Repeat(new string('x', 1000) + "\n", 20_000)), ["append", "/log", "--create", "--master", up.Master]);

        await using var cat = Shell.Begin("cat", "/log", "--master", up.Master);
        await cat.ReadLineAsync();
        cat.CloseOutput();

        Assert.Equal((ExitCode.Done, ""), await cat.EndAsync() is var end ? (end.ExitCode, end.Error) : default);
    }

    [Fact]
    public async Task Operators_are_served_over_HTTP()
    {
        await using var up = await Up.StartAsync(_directory.Path);
        await Shell.RunAsync("x\n", ["append", "/log", "--create", "--master", up.Master]);
        using var http = new HttpClient { BaseAddress = new Uri(up.Http) };
        var stop = TestContext.Current.CancellationToken;

        Assert.Equal("ok\n", await http.GetStringAsync("/healthz", stop));
        Assert.Equal("ready\n", await http.GetStringAsync("/readyz", stop));
        Assert.Contains("# TYPE ", await http.GetStringAsync("/metrics", stop), StringComparison.Ordinal);
        Assert.Contains("<title>Semel</title>", await http.GetStringAsync("/", stop), StringComparison.Ordinal);
        Assert.Contains("cluster_id", Keys(await http.GetStringAsync("/api/v1/status", stop)));
        Assert.Equal(404, (int)(await http.GetAsync("/nothing", stop)).StatusCode);
        Assert.Equal(405, (int)(await http.PostAsync("/healthz", null, stop)).StatusCode);
    }

    [Fact]
    public async Task A_data_directory_in_use_is_a_conflict_that_names_it()
    {
        await using var up = await Up.StartAsync(_directory.Path);

        var second = await Shell.RunAsync("up", "--port", "0", "--data", _directory.Path);

        Assert.Equal(ExitCode.Conflict, second.ExitCode);
        Assert.Contains(_directory.Path, second.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_that_is_taken_is_a_conflict_that_names_it()
    {
        using var taken = new TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        string address = taken.LocalEndpoint.ToString()!;

        var master = await Shell.RunAsync("master", "--bind", address, "--http", "none", "--data", Path.Combine(_directory.Path, "m"));
        var http = await Shell.RunAsync("master", "--bind", "127.0.0.1:0", "--http", address, "--data", Path.Combine(_directory.Path, "m"));

        Assert.Equal(ExitCode.Conflict, master.ExitCode);
        Assert.Contains(address, master.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Conflict, http.ExitCode);
        Assert.Contains(address, http.Error, StringComparison.Ordinal);
    }

    internal static string[] Keys(string json)
    {
        using var document = JsonDocument.Parse(json);
        return [.. document.RootElement.EnumerateObject().Select(p => p.Name)];
    }

    private static int Int(JsonDocument json, string key) => json.RootElement.GetProperty(key).GetInt32();

    /// <summary>A running <c>semel up</c> on free ports.</summary>
    private sealed class Up(Shell.RunningProcess process, string master, string http) : IAsyncDisposable
    {
        public string Master { get; } = master;
        public string Http { get; } = http;

        public static async Task<Up> StartAsync(string data, params string[] more)
        {
            var process = Shell.Begin(["up", "--port", "0", "--data", data, "--json", .. more]);
            using var shape = JsonDocument.Parse(await process.ReadLineAsync());
            Assert.Equal("ready", await process.ReadLineAsync());
            return new Up(process, shape.RootElement.GetProperty("master").GetString()!, shape.RootElement.GetProperty("http").GetString()!);
        }

        public async Task<int> StopAsync()
        {
            process.Interrupt();
            return (await process.EndAsync()).ExitCode;
        }

        public ValueTask DisposeAsync() => process.DisposeAsync();
    }
}
