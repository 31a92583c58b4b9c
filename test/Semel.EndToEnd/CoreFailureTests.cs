using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>A role whose core failed ends its process, and says so before.</summary>
public sealed class CoreFailureTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_master_whose_log_has_no_space_ends_with_exit_code_1_and_its_health_tells_before()
    {
        var stop = TestContext.Current.CancellationToken;
        string? refusal = null;
        await using var disk = await SmallDisk.TryMountAsync(Path.Combine(_directory.Path, "small"), 2 << 20, why => refusal = why);
        Assert.SkipWhen(disk is null, $"This machine does not let us mount: {refusal}");
        await using var master = Shell.Begin("master", "--bind", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", disk!.Path, "--json");
        using var ready = JsonDocument.Parse(await master.ReadLineAsync());
        using var http = new HttpClient { BaseAddress = new Uri($"http://{ready.RootElement.GetProperty("http").GetString()}") };
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/healthz", stop)).StatusCode);

        disk.Fill();
        var filling = FillLogAsync(ready.RootElement.GetProperty("address").GetString()!, stop);
        var told = await FirstFaultAsync(http, stop);
        long since = Stopwatch.GetTimestamp();
        var end = await master.EndAsync();

        Assert.Equal(ExitCode.Failed, end.ExitCode);
        Assert.InRange(Stopwatch.GetElapsedTime(since), TimeSpan.Zero, TimeSpan.FromSeconds(20));
        Assert.StartsWith("The master failed: ", told, StringComparison.Ordinal);
        Assert.Contains("no space", told, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("The master failed: ", end.Error, StringComparison.Ordinal);
        await filling;
    }

    /// <summary>Makes directories until that is not possible any more.</summary>
    private static async Task FillLogAsync(string master, CancellationToken stop)
    {
        await using var client = SemelClient.Connect(master, new SemelClientOptions { OperationTimeout = TimeSpan.FromSeconds(2) });
        string padding = new('x', 200);
        try
        {
            for (int i = 0; ; i += 50)
                await Task.WhenAll(Enumerable.Range(i, 50).Select(n => client.MakeDirectoryAsync($"/{n}-{padding}", false, stop)));
        }
        catch (SemelException)
        {
            // The log is full.
        }
    }

    private static async Task<string> FirstFaultAsync(HttpClient http, CancellationToken stop)
    {
        while (true)
        {
            var answer = await http.GetAsync("/healthz", stop);
            if (answer.StatusCode == HttpStatusCode.ServiceUnavailable)
                return await answer.Content.ReadAsStringAsync(stop);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            await Task.Delay(5, stop);
        }
    }
}
