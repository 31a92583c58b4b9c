using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Cli.Verification;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary><c>semel verify</c> on a cluster of processes whose disks are tampered with.</summary>
public sealed class VerifyTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Layout => Path.Combine(_directory.Path, "layout");

    private string Manifest => Path.Combine(_directory.Path, "manifest");

    [Fact]
    public async Task Files_that_are_whole_are_there_exactly_once()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/logs/a", 4000);
        await AppendAsync(cluster, "/logs/a", 4000);
        await AppendAsync(cluster, "/b", 1);
        await Shell.RunAsync("", ["append", "/empty", "--create", "--master", cluster.Master]);

        var all = await Shell.RunAsync("verify", "--all", "--wait", "2m", "--json", "--master", cluster.Master);
        var table = await Shell.RunAsync("verify", "/logs/a", "--wait", "2m", "--master", cluster.Master);

        Assert.Equal((ExitCode.Done, ""), (all.ExitCode, all.Error));
        Assert.Equal(3, all.Lines.Length);
        Assert.All(all.Lines, line => Assert.Equal(["path", "chunks", "replicas", "records", "duplicates", "gaps", "corrupt", "divergent", "unread", "verdict"], UpTests.Keys(line)));
        var file = Parse(all.Lines.Single(l => l.Contains("/logs/a", StringComparison.Ordinal)));
        Assert.Equal(("exactly once", 8000), (file.GetProperty("verdict").GetString(), file.GetProperty("records").GetInt64()));
        Assert.True(file.GetProperty("chunks").GetInt64() >= 3);
        Assert.True(file.GetProperty("replicas").GetInt64() >= 3 * file.GetProperty("chunks").GetInt64());
        Assert.Equal(ExitCode.Done, table.ExitCode);
        Assert.Contains("exactly once", table.Lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_may_grow_while_it_is_verified()
    {
        await using var cluster = await StartAsync();
        await using var client = SemelClient.Connect(cluster.Master);
        await client.CreateAsync("/log", null, TestContext.Current.CancellationToken);
        using var enough = new CancellationTokenSource();
        var appends = AppendUntilAsync(client, enough.Token);
        var before = await AppendedAsync(client, atLeast: 1);

        var verify = await Shell.RunAsync("verify", "/log", "--wait", "2m", "--json", "--master", cluster.Master);
        await AppendedAsync(client, atLeast: before + 1);
        enough.Cancel();
        await appends;

        Assert.Equal((ExitCode.Done, ""), (verify.ExitCode, verify.Error));
        Assert.True(Int(Parse(verify.Lines[0]), "chunks") > before);
    }

    [Fact]
    public async Task Bytes_that_were_flipped_on_a_disk_are_found_and_named()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/log", 5000);
        string file = ChunkFile(server: 2, index: 0);
        Flip(file, at: 100_000);

        var verify = await Shell.RunAsync("verify", "/log", "--json", "--master", cluster.Master);

        Assert.Equal(ExitCode.VerificationFailed, verify.ExitCode);
        Assert.Contains($"chunk 0 ({Path.GetFileNameWithoutExtension(file)}) on {cluster.AddressOf(2)}: at offset ", verify.Error, StringComparison.Ordinal);
        var shape = Parse(verify.Lines[0]);
        Assert.Equal((1, 0, 5000, "violated"), (Int(shape, "corrupt"), Int(shape, "divergent"), Int(shape, "records"), shape.GetProperty("verdict").GetString()));
    }

    [Fact]
    public async Task A_replica_that_was_truncated_is_found_and_named()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/log", 5000);
        string file = ChunkFile(server: 1, index: 0);
        using (var stream = Open(file))
            stream.SetLength(1000);

        var verify = await Shell.RunAsync("verify", "/log", "--json", "--master", cluster.Master);

        Assert.Equal(ExitCode.VerificationFailed, verify.ExitCode);
        Assert.Contains($"chunk 0 ({Path.GetFileNameWithoutExtension(file)}) on {cluster.AddressOf(1)}: at offset ", verify.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_replica_that_is_missing_makes_the_verdict_incomplete_until_it_is_repaired()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/log", 5000);
        await RestartMasterAsync(cluster, "repair_grace: 24h");
        await cluster.KillAsync(3);
        File.Delete(ChunkFile(server: 3, index: 0));
        await cluster.StartAgainAsync(3);
        await cluster.UntilAsync(s => !s.IsRecovering && s.ChunkServers.All(c => c.IsAlive) && s.UnderReplicated > 0);

        var before = await Shell.RunAsync("verify", "/log", "--json", "--master", cluster.Master);
        await RestartMasterAsync(cluster, "repair_grace: 0s");
        var after = await Shell.RunAsync("verify", "/log", "--json", "--wait", "2m", "--master", cluster.Master);

        Assert.Equal((ExitCode.Temporary, "incomplete"), (before.ExitCode, Parse(before.Lines[0]).GetProperty("verdict").GetString()));
        Assert.Contains("chunk 0 has 2 of 3 replicas", before.Error, StringComparison.Ordinal);
        Assert.Equal((ExitCode.Done, "exactly once", ""), (after.ExitCode, Parse(after.Lines[0]).GetProperty("verdict").GetString(), after.Error));
    }

    [Fact]
    public async Task A_server_that_does_not_answer_is_named_and_the_verdict_is_incomplete()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/log", 5000);
        await cluster.KillAsync(1);

        var verify = await Shell.RunAsync("verify", "/log", "--json", "--master", cluster.Master);

        Assert.Equal((ExitCode.Temporary, "incomplete"), (verify.ExitCode, Parse(verify.Lines[0]).GetProperty("verdict").GetString()));
        Assert.Contains(cluster.AddressOf(1), verify.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_manifest_holds_while_the_file_grows()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/log", 5000);
        var written = await Shell.RunAsync("verify", "--all", "--wait", "2m", "--manifest", Manifest, "--master", cluster.Master);
        await AppendAsync(cluster, "/log", 5000);

        var alone = await Shell.RunAsync("verify", "--check-manifest", Manifest, "--json");
        var against = await Shell.RunAsync("verify", "--check-manifest", Manifest, "--against-cluster", "--json", "--master", cluster.Master);

        Assert.Equal(ExitCode.Done, written.ExitCode);
        Assert.Equal((ExitCode.Done, ""), (alone.ExitCode, alone.Error));
        Assert.Equal((ExitCode.Done, ""), (against.ExitCode, against.Error));
        Assert.Contains(Parse(alone.Lines[0]).GetProperty("hash").GetString()!, written.Error, StringComparison.Ordinal);
        Assert.Equal(("intact", 5000), (Parse(against.Lines[0]).GetProperty("verdict").GetString(), Int(Parse(against.Lines[0]), "records")));
    }

    [Fact]
    public async Task A_manifest_of_a_file_that_was_made_anew_does_not_hold()
    {
        await using var cluster = await StartAsync();
        await AppendAsync(cluster, "/log", 10);
        await Shell.RunAsync("verify", "--all", "--wait", "2m", "--manifest", Manifest, "--master", cluster.Master);
        await Shell.RunAsync("rm", "/log", "--master", cluster.Master);
        await AppendAsync(cluster, "/log", 10);

        var against = await Shell.RunAsync("verify", "--check-manifest", Manifest, "--against-cluster", "--master", cluster.Master);

        Assert.Equal(ExitCode.VerificationFailed, against.ExitCode);
        Assert.Contains("/log: chunk 0", against.Error, StringComparison.Ordinal);
        Assert.Contains("the file is another one", against.Error, StringComparison.Ordinal);
    }

    private static async Task RestartMasterAsync(YamlCluster cluster, string line)
    {
        cluster.MasterLines = [line];
        await cluster.KillAsync(0);
        await cluster.StartAgainAsync(0);
    }

    private async Task<YamlCluster> StartAsync(params string[] masterLines) => await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, masterLines);

    /// <summary>Records of 300 bytes, 3,000 of which fill a chunk of 1 MiB. All replicas are there when it returns.</summary>
    private async Task AppendAsync(YamlCluster cluster, string path, int records)
    {
        string lines = string.Concat(Enumerable.Range(0, records).Select(i => $"{i}".PadRight(300) + "\n"));
        var appended = await Shell.RunAsync(lines, ["append", path, "--create", "--master", cluster.Master]);
        Assert.Equal((ExitCode.Done, ""), (appended.ExitCode, appended.Error));
        var whole = await Shell.RunAsync("verify", path, "--wait", "2m", "--manifest", Layout, "--master", cluster.Master);
        Assert.True(whole.ExitCode == ExitCode.Done, whole.Error);
    }

    private static async Task AppendUntilAsync(SemelClient client, CancellationToken enough)
    {
        await using var writer = await client.OpenWriterAsync("/log", new WriterOptions { Name = "w", MaxBufferedBytes = 64 << 10 });
        byte[] record = new byte[5000];
        while (!enough.IsCancellationRequested)
            await writer.EnqueueAsync(record);
        await writer.FlushAsync();
    }

    /// <summary>Waits until the file has so many sealed chunks, and returns how many it has.</summary>
    private static async Task<int> AppendedAsync(SemelClient client, int atLeast)
    {
        while (true)
        {
            var status = await client.StatAsync("/log", TestContext.Current.CancellationToken);
            if (status.Chunks > atLeast)
                return (int)status.Chunks - 1;
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>The file of a replica of the last file that was appended to. A chunk server may also have chunks that no file has: their making was given up.</summary>
    private string ChunkFile(int server, int index)
    {
        string handle = new ManifestReader(Layout).Read().ElementAt(index).Handle;
        return Path.Combine(_directory.Path, $"chunkserver{server}", "chunks", handle[^2..], $"{handle}.chunk");
    }

    private static void Flip(string file, long at)
    {
        using var stream = Open(file);
        stream.Position = at;
        int old = stream.ReadByte();
        stream.Position = at;
        stream.WriteByte((byte)(old ^ 0x10));
    }

    private static FileStream Open(string file) => new(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);

    private static int Int(JsonElement json, string key) => json.GetProperty(key).GetInt32();

    private static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
