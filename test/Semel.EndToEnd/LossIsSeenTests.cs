using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>
/// What <c>semel verify</c> says of a cluster that has lost acknowledged records and looks whole: its directories are put back to where
/// they were before the records came. Also what it says of a server that took another one's address.
/// </summary>
public sealed class LossIsSeenTests : IDisposable
{
    private const string Log = "/log";
    private const int Before = 42, All = 80;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Manifest => Path.Combine(_directory.Path, "manifest");

    [Fact]
    public async Task A_copy_anywhere_that_has_more_than_the_file_is_a_violation_and_a_manifest_made_before_catches_the_rest()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 4, "repair_grace: 24h");
        await AppendAsync(cluster, 0, Before);
        Save("before");   // nothing is under way
        await AppendAsync(cluster, Before, All - Before);
        var manifest = await VerifyAsync(cluster, "--manifest", Manifest);
        await StopAsync(cluster);
        Save("after");
        Assert.Equal(Enumerable.Range(0, All).Select(i => $"line {i}"), LongestCopy("after").Records);

        // Where nothing is left of the records, verify sees nothing, and the manifest does.
        Restore("before");
        await StartAsync(cluster);
        var blind = await VerifyAsync(cluster);
        for (int i = 0; i < 20 && blind.ExitCode == ExitCode.Temporary; i++)    // the cluster is just starting
            blind = await VerifyAsync(cluster);
        var against = await Shell.RunAsync("verify", "--check-manifest", Manifest, "--against-cluster", "--json", "--master", cluster.Master);
        await StopAsync(cluster);

        // The copy lies on the server that is no member.
        Restore("before");
        var longest = LongestCopy("after");
        int other = Enumerable.Range(1, 4).First(s => DiskJudge.Replicas(DataOf(s)).All(r => r.Handle != longest.Handle));
        foreach (string extension in new[] { ".chunk", ".meta", ".base" })
            Copy(Path.ChangeExtension(longest.File, extension), Path.Combine(DataOf(other), "chunks", Path.GetFileName(Path.GetDirectoryName(longest.File))!));
        await StartAsync(cluster);
        var seen = await VerifyAsync(cluster);

        Assert.Equal((ExitCode.Done, "exactly once"), (manifest.ExitCode, VerdictOf(manifest)));
        Assert.Equal((ExitCode.Done, "exactly once"), (blind.ExitCode, VerdictOf(blind)));
        Assert.Equal((ExitCode.VerificationFailed, "violated"), (against.ExitCode, VerdictOf(against)));
        Assert.Contains("bytes are committed, there were", against.Error, StringComparison.Ordinal);
        Assert.Equal((ExitCode.VerificationFailed, "violated"), (seen.ExitCode, VerdictOf(seen)));
        Assert.Contains($"on {cluster.AddressOf(other)}: a copy that a server that is no member holds has", seen.Error, StringComparison.Ordinal);
        Assert.Contains("what was committed is not in the file", seen.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_older_log_of_the_master_is_never_called_exactly_once()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        await AppendAsync(cluster, 0, Before, "a");
        Save("before");
        await AppendAsync(cluster, Before, All - Before, "b");
        await StopAsync(cluster);

        Restore("before", server: 0);
        await StartAsync(cluster);
        var verify = await VerifyAsync(cluster);

        // It may also be refused as an older one, and then nobody can say anything.
        Assert.NotEqual(ExitCode.Done, verify.ExitCode);
        Assert.True(verify.ExitCode == ExitCode.Temporary || verify.Error.Contains("the master never gave that id away", StringComparison.Ordinal), verify.Error);
    }

    [Fact]
    public async Task An_empty_server_in_the_place_of_a_dead_one_is_incomplete_until_it_is_filled()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, "repair_grace: 2s");
        // The first chunk becomes full and sealed, the last one stays open.
        await AppendAsync(cluster, 0, 6000, padding: 300);
        await AppendAsync(cluster, 0, 10, path: "/small");
        Assert.Equal(ExitCode.Done, (await VerifyAsync(cluster, "--wait", "1m")).ExitCode);

        await cluster.KillAsync(3);
        Directory.Delete(DataOf(3), recursive: true);
        await cluster.StartAgainAsync(3);
        var verdicts = new List<Shell.Result>();
        do
            verdicts.Add(await Shell.RunAsync("verify", "--all", "--json", "--master", cluster.Master));
        while (verdicts.Count < 3 && verdicts[^1].ExitCode == ExitCode.Temporary);

        Assert.Equal(ExitCode.Temporary, verdicts[0].ExitCode);
        Assert.All(verdicts, v => Assert.True(v.ExitCode is ExitCode.Temporary or ExitCode.Done, v.Error + v.Output));
    }

    [Fact]
    public async Task The_judge_of_disks_sees_what_was_appended_and_what_rots()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        await AppendAsync(cluster, 0, 5000, padding: 300);
        await using var client = SemelClient.Connect(cluster.Master);
        ulong file = (await client.StatAsync(Log, TestContext.Current.CancellationToken)).FileId;
        await StopAsync(cluster);

        var chunks = DiskJudge.LongestCopies(file, DataOf(1), DataOf(2), DataOf(3));
        Assert.Empty(DiskJudge.FaultsOf(chunks));
        Assert.Equal(Enumerable.Range(0, 5000).Select(i => $"line {i}"), chunks.SelectMany(c => c.Records).Select(r => r.TrimEnd()));
        Assert.NotEmpty(DiskJudge.FaultsOf([chunks[0], .. chunks]));
        Assert.NotEmpty(DiskJudge.FaultsOf(chunks[1..]));

        uint end = chunks[0].End;
        using (var stream = new FileStream(chunks[0].File, FileMode.Open))
        {
            stream.Position = 100_000;
            stream.WriteByte((byte)(stream.ReadByte() ^ 1));
        }
        Assert.True(DiskJudge.Replicas(Path.GetDirectoryName(Path.GetDirectoryName(Path.GetDirectoryName(chunks[0].File)))!).Min(r => r.End) < end);
    }

    private string DataOf(int server) => Path.Combine(_directory.Path, server == 0 ? "master0" : $"chunkserver{server}");

    /// <summary>
    /// One line is one record: each line is acknowledged before the next is sent only across calls, which is enough here.
    /// </summary>
    private static async Task AppendAsync(YamlCluster cluster, int first, int count, string writer = "w", int padding = 0, string path = Log)
    {
        string lines = string.Concat(Enumerable.Range(first, count).Select(i => $"line {i}".PadRight(padding) + "\n"));
        var appended = await Shell.RunAsync(lines, ["append", path, "--create", "--writer", writer, "--master", cluster.Master]);
        Assert.Equal((ExitCode.Done, ""), (appended.ExitCode, appended.Error));
    }

    private static Task<Shell.Result> VerifyAsync(YamlCluster cluster, params string[] more) =>
        Shell.RunAsync(["verify", Log, "--json", "--master", cluster.Master, .. more]);

    private static string? VerdictOf(Shell.Result result)
    {
        using var json = JsonDocument.Parse(result.Lines[0]);
        return json.RootElement.GetProperty("verdict").GetString();
    }

    private static async Task StopAsync(YamlCluster cluster)
    {
        for (int server = 0; server <= cluster.ChunkServers; server++)
            await cluster.StopAsync(server);
    }

    private static async Task StartAsync(YamlCluster cluster)
    {
        // The master last, so that it hears of all of them at once and leaves nobody out.
        foreach (int server in Enumerable.Range(1, cluster.ChunkServers).Append(0))
            await cluster.StartAgainAsync(server);
        await using var client = SemelClient.Connect(cluster.Master);
        while (await client.GetClusterStatusAsync(TestContext.Current.CancellationToken) is var status
            && (status.IsRecovering || status.ChunkServers.Count(s => s.IsAlive) < cluster.ChunkServers))
            await Task.Delay(20, TestContext.Current.CancellationToken);
    }

    private DiskReplica LongestCopy(string saved) =>
        Enumerable.Range(1, 4).SelectMany(s => DiskJudge.Replicas(Path.Combine(_directory.Path, saved, Path.GetFileName(DataOf(s))))).MaxBy(r => r.End)!;

    private void Save(string name)
    {
        foreach (string data in Directory.GetDirectories(_directory.Path).Where(d => Path.GetFileName(d) is ['m' or 'c', ..]))
            CopyTree(data, Path.Combine(_directory.Path, name, Path.GetFileName(data)));
    }

    private void Restore(string name, int? server = null)
    {
        foreach (string saved in Directory.GetDirectories(Path.Combine(_directory.Path, name)).Where(d => server is null || Path.GetFileName(d) == Path.GetFileName(DataOf(server.Value))))
        {
            string data = Path.Combine(_directory.Path, Path.GetFileName(saved));
            Directory.Delete(data, recursive: true);
            CopyTree(saved, data);
        }
    }

    private static void CopyTree(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string directory in Directory.GetDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(directory.Replace(from, to, StringComparison.Ordinal));
        foreach (string file in Directory.GetFiles(from, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) != "LOCK"))
            CopyFile(file, file.Replace(from, to, StringComparison.Ordinal));
    }

    private static void Copy(string file, string directory)
    {
        Directory.CreateDirectory(directory);
        if (File.Exists(file))
            CopyFile(file, Path.Combine(directory, Path.GetFileName(file)));
    }

    /// <summary>Also of a file that a server has open.</summary>
    private static void CopyFile(string from, string to)
    {
        using var source = new FileStream(from, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var target = new FileStream(to, FileMode.CreateNew);
        source.CopyTo(target);
    }
}
