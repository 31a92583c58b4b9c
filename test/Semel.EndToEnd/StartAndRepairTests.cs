using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>Processes that start one by one, disks that die meanwhile or while nobody writes, and an operator who decides.</summary>
public sealed class StartAndRepairTests : IDisposable
{
    /// <summary>So that what takes seconds takes tenths of them.</summary>
    private static readonly string[] Hurried = ["heartbeat_interval: 100ms", "dead_after: 600ms", "lease_duration: 2s", "repair_grace: 500ms"];

    private static readonly string Lines80 = string.Concat(Enumerable.Range(0, 80).Select(i => $"line {i}\n"));

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact(Timeout = 90_000)]
    public async Task The_disk_of_the_first_server_up_after_a_stop_of_everything_may_die()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, Hurried);
        await AppendAsync(cluster, "/log", Lines80);
        for (int server = 3; server >= 0; server--)
            await cluster.StopAsync(server);

        await cluster.StartAgainAsync(0);
        await cluster.StartAgainAsync(1);
        var alone = await Shell.RunAsync("never\n", ["append", "/log", "--timeout", "6s", "--master", cluster.Master]);
        var status = await StatusAsync(cluster);
        await LoseDiskAsync(cluster, 1);
        await cluster.StartAgainAsync(2);
        await cluster.StartAgainAsync(3);
        var more = await Shell.RunAsync("more\n", ["append", "/log", "--timeout", "30s", "--master", cluster.Master]);
        var read = await Shell.RunAsync("cat", "/log", "--master", cluster.Master);

        Assert.Equal(ExitCode.Temporary, alone.ExitCode);
        Assert.Contains("waited for until", alone.Error, StringComparison.Ordinal);
        Assert.Contains("waited for until", Assert.Single(status.UnavailableChunks), StringComparison.Ordinal);
        Assert.Equal((ExitCode.Done, ""), (more.ExitCode, more.Error));
        Assert.Equal((ExitCode.Done, Lines80 + "more\n", ""), (read.ExitCode, read.Output, read.Error));
    }

    [Fact(Timeout = 90_000)]
    public async Task Files_that_nobody_writes_outlive_all_their_servers_when_one_more_is_there()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 4, Hurried);
        await cluster.StopAsync(4);
        string lines = string.Concat(Enumerable.Range(0, 100).Select(i => $"line {i}\n"));
        for (int file = 0; file < 6; file++)
            await AppendAsync(cluster, $"/{file}", lines);
        await cluster.KillAsync(0);
        await cluster.StartAgainAsync(0);       // a master that has just started knows of nobody who writes
        await cluster.StartAgainAsync(4);
        await cluster.UntilAsync(s => !s.IsRecovering && s.ChunkServers.Count(c => c.IsAlive) == 4);

        for (int server = 1; server <= 3; server++)
        {
            await LoseDiskAsync(cluster, server);
            await cluster.UntilAsync(s => s.ChunkServers.Count(c => c.IsAlive) == 4 - server && s.UnderReplicated == 0);
        }

        for (int file = 0; file < 6; file++)
        {
            var read = await Shell.RunAsync("cat", $"/{file}", "--master", cluster.Master);
            Assert.Equal((ExitCode.Done, lines, ""), (read.ExitCode, read.Output, read.Error));
        }
    }

    [Fact(Timeout = 90_000)]
    public async Task A_server_that_cannot_make_its_copy_does_not_keep_another_one_from_it()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 5, Hurried);
        await cluster.StopAsync(4);
        await cluster.StopAsync(5);
        await AppendAsync(cluster, "/log", Lines80);
        await cluster.StartAgainAsync(4);
        foreach (string chunk in Directory.GetFiles(DirectoryOf(1), "*.chunk", SearchOption.AllDirectories))
            Directory.CreateDirectory(Path.Combine(DirectoryOf(4), Path.GetRelativePath(DirectoryOf(1), chunk)));
        // What is odd would be moved aside, if there were where to.
        await File.WriteAllTextAsync(Path.Combine(DirectoryOf(4), "quarantine"), "in the way", TestContext.Current.CancellationToken);

        await LoseDiskAsync(cluster, 1);
        while (!cluster.LastErrorsOf(0).Contains("could not carry out", StringComparison.Ordinal))
            await Task.Delay(20, TestContext.Current.CancellationToken);
        await cluster.StartAgainAsync(5);
        await cluster.UntilAsync(s => s.ChunkServers.Count(c => c.IsAlive) == 4 && s.UnderReplicated == 0);
        var read = await Shell.RunAsync("cat", "/log", "--master", cluster.Master);

        Assert.Equal((ExitCode.Done, Lines80), (read.ExitCode, read.Output));
        Assert.Equal(2, cluster.LastErrorsOf(0).Split("could not carry out").Length);
    }

    [Fact(Timeout = 90_000)]
    public async Task A_chunk_of_which_only_one_copy_is_left_waits_for_the_operator()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, Hurried);
        await AppendAsync(cluster, "/log", Lines80);
        string handle = Path.GetFileNameWithoutExtension(Directory.GetFiles(DirectoryOf(1), "*.chunk", SearchOption.AllDirectories).Single());
        var healthy = await Shell.RunAsync("chunk", "recover", handle, "--use", cluster.AddressOf(1), "--yes", "--master", cluster.Master);
        for (int server = 3; server >= 0; server--)
            await cluster.StopAsync(server);
        Directory.Delete(DirectoryOf(2), recursive: true);
        Directory.Delete(DirectoryOf(3), recursive: true);

        for (int server = 0; server <= 3; server++)
            await cluster.StartAgainAsync(server);
        var waits = await Shell.RunAsync("never\n", ["append", "/log", "--timeout", "6s", "--master", cluster.Master]);
        var shown = await Shell.RunAsync("chunk", "recover", handle, "--json", "--master", cluster.Master);
        var text = await Shell.RunAsync("chunk", "recover", handle, "--master", cluster.Master);
        var undecided = await Shell.RunAsync("chunk", "recover", handle, "--use", cluster.AddressOf(1), "--master", cluster.Master);
        var empty = await Shell.RunAsync("chunk", "recover", handle, "--use", cluster.AddressOf(2), "--yes", "--master", cluster.Master);
        var decided = await Shell.RunAsync("chunk", "recover", handle, "--use", cluster.AddressOf(1), "--yes", "--json", "--master", cluster.Master);
        var more = await Shell.RunAsync("more\n", ["append", "/log", "--timeout", "30s", "--master", cluster.Master]);
        var read = await Shell.RunAsync("cat", "/log", "--master", cluster.Master);
        var late = await Shell.RunAsync("chunk", "recover", handle, "--use", cluster.AddressOf(1), "--yes", "--master", cluster.Master);

        Assert.True(waits.ExitCode == ExitCode.Temporary, $"{waits.ExitCode}: {waits.Error}");
        Assert.Equal((ExitCode.Conflict, ExitCode.Done), (healthy.ExitCode, shown.ExitCode));
        using var json = JsonDocument.Parse(shown.Lines[0]);
        Assert.Equal(["handle", "path", "index", "version", "sealed", "sealed_length", "problem", "copies", "unknown"], UpTests.Keys(shown.Lines[0]));
        var copy = json.RootElement.GetProperty("copies").EnumerateArray().Single(c => c.GetProperty("address").GetString() == cluster.AddressOf(1) && c.GetProperty("bytes").ValueKind == JsonValueKind.Number);
        Assert.Equal((80, 0, 0, "member"), (Int(copy, "file_records"), Int(copy, "lost_records"), Int(copy, "lost_bytes"), copy.GetProperty("state").GetString()));
        Assert.Contains("semel chunk recover", json.RootElement.GetProperty("problem").GetString(), StringComparison.Ordinal);
        Assert.Contains("nothing that is known", text.Output, StringComparison.Ordinal);
        Assert.Equal((ExitCode.WrongUsage, ExitCode.NotFound), (undecided.ExitCode, empty.ExitCode));
        Assert.Equal((ExitCode.Done, ""), (decided.ExitCode, decided.Error));
        Assert.Equal((ExitCode.Done, ""), (more.ExitCode, more.Error));
        Assert.Equal((ExitCode.Done, Lines80 + "more\n"), (read.ExitCode, read.Output));
        Assert.Equal(ExitCode.Conflict, late.ExitCode);
        Assert.Contains("sealed", late.Error, StringComparison.Ordinal);
    }

    private string DirectoryOf(int server) => Path.Combine(_directory.Path, $"chunkserver{server}");

    private async Task LoseDiskAsync(YamlCluster cluster, int server)
    {
        await cluster.KillAsync(server);
        Directory.Delete(DirectoryOf(server), recursive: true);
    }

    private static async Task AppendAsync(YamlCluster cluster, string path, string lines)
    {
        var appended = await Shell.RunAsync(lines, ["append", path, "--create", "--master", cluster.Master]);
        Assert.Equal((ExitCode.Done, ""), (appended.ExitCode, appended.Error));
    }

    private static async Task<ClusterStatus> StatusAsync(YamlCluster cluster)
    {
        await using var client = SemelClient.Connect(cluster.Master);
        return await client.GetClusterStatusAsync(TestContext.Current.CancellationToken);
    }

    private static int Int(JsonElement json, string key) => json.GetProperty(key).GetInt32();
}
