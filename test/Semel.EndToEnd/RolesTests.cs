using System.Text;
using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>Roles as separate processes with YAML files; any of them is killed and started again.</summary>
public sealed class RolesTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    /// <summary>0: the master; 1 to 5: a chunk server.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Whichever_process_is_killed_and_started_again_each_acknowledged_record_is_there_once_and_writers_go_on(int victim)
    {
        const int writers = 4, records = 3000;
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 5);
        await using var client = SemelClient.Connect(cluster.Master, new SemelClientOptions { OperationTimeout = TimeSpan.FromSeconds(60) });
        var stop = TestContext.Current.CancellationToken;
        await client.CreateAsync("/log", null, stop);
        var third = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int acknowledged = 0;

        async Task WriteAsync(int number)
        {
            await using var writer = await client.OpenWriterAsync("/log", new WriterOptions { Name = $"writer-{number}" }, stop);
            var underWay = new Queue<ValueTask<AppendResult>>();
            for (int i = 1; i <= records; i++)
            {
                // 500 bytes: the chunks of 1 MiB roll over several times.
                underWay.Enqueue(writer.AppendAsync(Encoding.UTF8.GetBytes($"{number}:{i}".PadRight(500)), stop));
                if (underWay.Count >= 50)
                    await AcknowledgedAsync(underWay.Dequeue());
            }
            while (underWay.Count > 0)
                await AcknowledgedAsync(underWay.Dequeue());
        }

        async ValueTask AcknowledgedAsync(ValueTask<AppendResult> append)
        {
            await append;
            if (Interlocked.Increment(ref acknowledged) == writers * records / 3)
                third.SetResult();
        }

        var appends = Task.WhenAll(Enumerable.Range(0, writers).Select(WriteAsync));
        await Task.WhenAny(third.Task, appends);
        await cluster.KillAsync(victim);
        await cluster.StartAgainAsync(victim);
        await appends;

        var next = new int[writers];
        await foreach (var record in client.ReadRecordsAsync("/log", cancellationToken: stop))
        {
            string[] text = Encoding.UTF8.GetString(record.Data.Span).TrimEnd().Split(':');
            int number = int.Parse(text[0]);
            Assert.Equal(++next[number], int.Parse(text[1]));
        }
        Assert.Equal(writers * records, acknowledged);
        Assert.All(next, last => Assert.Equal(records, last));
    }

    [Fact]
    public async Task Everything_is_there_after_all_processes_were_killed_at_once()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        string lines = string.Concat(Enumerable.Range(0, 5000).Select(i => $"line {i}\n"));
        var appended = await Shell.RunAsync(lines, ["append", "/log", "--create", "--master", cluster.Master]);
        Assert.Equal((ExitCode.Done, ""), (appended.ExitCode, appended.Error));

        await Task.WhenAll(Enumerable.Range(0, 4).Select(cluster.KillAsync));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(cluster.StartAgainAsync));
        var read = await Shell.RunAsync("cat", "/log", "--master", cluster.Master);
        var more = await Shell.RunAsync("more\n", ["append", "/log", "--master", cluster.Master]);

        Assert.Equal((ExitCode.Done, ""), (read.ExitCode, read.Error));
        Assert.Equal(lines, read.Output);
        Assert.Equal((ExitCode.Done, ""), (more.ExitCode, more.Error));
    }

    [Fact]
    public async Task A_chunk_server_of_another_cluster_is_refused()
    {
        string chunkServer = Path.Combine(_directory.Path, "chunkserver");
        await using (var own = await ServerProcess.StartAsync("master", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Path.Combine(_directory.Path, "own")], TimeProvider.System, default))
            await JoinAsync(own.Address, chunkServer);
        await using var other = await ServerProcess.StartAsync("master", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Path.Combine(_directory.Path, "other")], TimeProvider.System, default);

        var result = await Shell.RunAsync("chunkserver", "--master", other.Address, "--bind", "127.0.0.1:0", "--data", chunkServer);

        Assert.Equal(ExitCode.Conflict, result.ExitCode);
        Assert.Contains(chunkServer, result.Error, StringComparison.Ordinal);
        Assert.Contains(other.Address, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_data_directory_of_another_role_is_refused()
    {
        string data = Path.Combine(_directory.Path, "data");
        await using (await ServerProcess.StartAsync("master", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", data], TimeProvider.System, default))
        {
        }

        var result = await Shell.RunAsync("chunkserver", "--bind", "127.0.0.1:0", "--data", data);

        Assert.Equal(ExitCode.Conflict, result.ExitCode);
        Assert.Contains(data, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_ends_when_its_starter_does()
    {
        await using var server = Shell.Begin("master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Path.Combine(_directory.Path, "m"), "--while-stdin-is-open", "--json");
        await server.ReadLineAsync();

        server.Input.Close();

        Assert.Equal(ExitCode.Done, (await server.EndAsync()).ExitCode);
    }

    /// <summary>Runs a chunk server until it knows that it belongs to the master's cluster.</summary>
    private static async Task JoinAsync(string master, string data)
    {
        await using var server = Shell.Begin("chunkserver", "--master", master, "--bind", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", data, "--json");
        using var ready = JsonDocument.Parse(await server.ReadLineAsync());
        using var http = new HttpClient { BaseAddress = new Uri($"http://{ready.RootElement.GetProperty("http").GetString()}") };
        while (!(await http.GetAsync("/readyz")).IsSuccessStatusCode)
            await Task.Delay(20);
        server.Terminate();
        Assert.Equal(ExitCode.Done, (await server.EndAsync()).ExitCode);
    }
}
