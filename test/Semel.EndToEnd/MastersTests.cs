using System.Buffers.Binary;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

/// <summary>
/// An older copy of the master's directory is put back; two masters run on copies of one. No record of another file, none twice, and clear
/// words.
/// </summary>
public sealed class MastersTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string MasterData => Path.Combine(_directory.Path, "master0");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task An_older_copy_of_the_masters_directory_changes_nothing_and_says_so_until_the_right_one_is_back()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        string first = Lines("first", 200), second = Lines("second", 3000);
        await DoneAsync(cluster.Master, first, "append", "/first", "--create", "--writer", "a");
        string old = CopyOf(MasterData, "old");
        ulong before = ((int[])[1, 2, 3]).Max(PositionOf);
        await DoneAsync(cluster.Master, second, "append", "/second", "--create", "--writer", "b");
        while (((int[])[1, 2, 3]).Any(i => PositionOf(i) < before + 3))
            await Task.Delay(50);       // each server has heard of the file, its writer and its chunk

        await PutBackAsync(cluster, old);
        var refused = await Shell.RunAsync("x\n", ["append", "/third", "--create", "--master", cluster.Master, "--timeout", "2s"]);
        var resumed = await Shell.RunAsync("x\n", ["append", "/first", "--writer", "c", "--master", cluster.Master, "--timeout", "2s"]);
        var status = await Shell.RunAsync("cluster", "status", "--master", cluster.Master);
        var read = await Shell.RunAsync("cat", "/first", "--master", cluster.Master, "--timeout", "2s");

        Assert.NotEqual(ExitCode.Done, refused.ExitCode);
        Assert.NotEqual(ExitCode.Done, resumed.ExitCode);
        Assert.All((string[])[refused.Error, resumed.Error, status.Output], text => Assert.Contains("accept_lost_entries", text, StringComparison.Ordinal));
        Assert.Equal((ExitCode.Temporary, ""), (read.ExitCode, read.Output));     // never 0 with less than was acknowledged
        Assert.Contains("older copy", cluster.LastErrorsOf(0), StringComparison.Ordinal);

        await PutBackAsync(cluster, Path.Combine(_directory.Path, "replaced"));
        await DoneAsync(cluster.Master, "last\n", "append", "/second", "--writer", "b2");

        Assert.Equal(second + "last\n", await CatAsync(cluster.Master, "/second"));
        Assert.Equal(first, await CatAsync(cluster.Master, "/first"));
    }

    [Fact]
    public async Task The_operator_lets_an_older_copy_go_on_and_no_record_of_a_file_that_it_forgot_is_in_a_new_one()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        string first = Lines("first", 200), third = Lines("third", 1000);
        await DoneAsync(cluster.Master, first, "append", "/first", "--create", "--writer", "a");
        await cluster.KillAsync(0);
        string old = CopyOf(MasterData, "old");
        await cluster.StartAgainAsync(0);
        await DoneAsync(cluster.Master, Lines("second", 3000), "append", "/second", "--create", "--writer", "b");
        int replicas = ChunkFiles();

        cluster.MasterLines = ["accept_lost_entries: true"];
        await PutBackAsync(cluster, old);
        await DoneAsync(cluster.Master, third, "append", "/third", "--create", "--writer", "b");
        var forgotten = await Shell.RunAsync("cat", "/second", "--master", cluster.Master);

        Assert.Equal(third, await CatAsync(cluster.Master, "/third"));
        Assert.Equal(first, await CatAsync(cluster.Master, "/first"));
        Assert.Equal(ExitCode.NotFound, forgotten.ExitCode);
        Assert.Contains("The operator accepted", cluster.LastErrorsOf(0), StringComparison.Ordinal);
        Assert.True(ChunkFiles() > replicas);       // what is not known is kept

        cluster.MasterLines = [];
        await cluster.KillAsync(0);
        await cluster.StartAgainAsync(0);
        await DoneAsync(cluster.Master, "more\n", "append", "/third");
        Assert.Equal(third + "more\n", await CatAsync(cluster.Master, "/third"));
    }

    [Fact]
    public async Task Of_two_masters_on_copies_of_one_directory_the_second_is_not_served_and_the_first_goes_on()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        string lines = Lines("line", 500);
        await DoneAsync(cluster.Master, lines, "append", "/log", "--create", "--writer", "w");
        await cluster.KillAsync(0);
        string copy = CopyOf(MasterData, "second");
        await cluster.StartAgainAsync(0);
        await DoneAsync(cluster.Master, "one more\n", "append", "/log");

        await using var second = await ServerProcess.StartAsync("second", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", copy], TimeProvider.System, TestContext.Current.CancellationToken);
        string address = cluster.AddressOf(3);
        await cluster.KillAsync(3);
        await using var third = await ServerProcess.StartAsync(
            "third", ["chunkserver", "--bind", address, "--http", "none", "--data", Path.Combine(_directory.Path, "chunkserver3"), "--master", second.Address], TimeProvider.System, TestContext.Current.CancellationToken);
        var astray = await Shell.RunAsync(lines, ["append", "/log", "--writer", "w", "--resume", "--master", second.Address, "--timeout", "3s"]);
        var made = await Shell.RunAsync("x\n", ["append", "/other", "--create", "--master", second.Address, "--timeout", "3s"]);
        await DoneAsync(cluster.Master, "another\n", "append", "/log");

        Assert.NotEqual(ExitCode.Done, astray.ExitCode);
        Assert.NotEqual(ExitCode.Done, made.ExitCode);
        Assert.Contains("another master", made.Error, StringComparison.Ordinal);
        Assert.Equal(lines + "one more\nanother\n", await CatAsync(cluster.Master, "/log"));
    }

    [Fact]
    public async Task Two_masters_that_each_have_some_of_the_servers_stop_giving_anything_away()
    {
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3);
        string lines = Lines("line", 500);
        await DoneAsync(cluster.Master, lines, "append", "/log", "--create", "--writer", "w");
        string address = cluster.AddressOf(3);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(cluster.KillAsync));
        string copy = CopyOf(MasterData, "second");

        await using var second = await ServerProcess.StartAsync("second", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", copy], TimeProvider.System, TestContext.Current.CancellationToken);
        await using var third = await ServerProcess.StartAsync(
            "third", ["chunkserver", "--bind", address, "--http", "none", "--data", Path.Combine(_directory.Path, "chunkserver3"), "--master", second.Address], TimeProvider.System, TestContext.Current.CancellationToken);
        var alone = await Shell.RunAsync("x\n", ["append", "/other", "--create", "--master", second.Address, "--timeout", "6s"]);
        await Task.WhenAll(((int[])[0, 1, 2]).Select(cluster.StartAgainAsync));
        var first = await Shell.RunAsync("x\n", ["append", "/log", "--writer", "w", "--resume", "--master", cluster.Master, "--timeout", "3s"]);
        var refused = await Shell.RunAsync("x\n", ["append", "/log", "--writer", "w", "--resume", "--master", second.Address, "--timeout", "3s"]);

        Assert.NotEqual(ExitCode.Done, alone.ExitCode);      // one server of three makes no chunk
        Assert.NotEqual(ExitCode.Done, first.ExitCode);
        Assert.NotEqual(ExitCode.Done, refused.ExitCode);
        Assert.Contains("another master", first.Error, StringComparison.Ordinal);
        var read = await Shell.RunAsync("cat", "/log", "--master", cluster.Master, "--timeout", "5s");
        Assert.Equal(ExitCode.Temporary, read.ExitCode);
        Assert.Equal("", read.Output);
    }

    private static string Lines(string word, int count) => string.Concat(Enumerable.Range(0, count).Select(i => $"{word} {i} {new string('.', 100)}\n"));

    private static async Task DoneAsync(string master, string input, params string[] arguments)
    {
        var result = await Shell.RunAsync(input, [.. arguments, "--master", master]);
        Assert.True(result.ExitCode == ExitCode.Done, result.Error);
    }

    private static async Task<string> CatAsync(string master, string path)
    {
        var result = await Shell.RunAsync("cat", path, "--master", master);
        Assert.True(result.ExitCode == ExitCode.Done, result.Error);
        return result.Output;
    }

    private string CopyOf(string source, string name)
    {
        string target = Path.Combine(_directory.Path, name);
        foreach (string file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) != "LOCK"))
        {
            string copy = Path.Combine(target, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
        return target;
    }

    /// <summary>The master is killed, and started on the copy; its directory stays as <c>replaced</c>.</summary>
    private async Task PutBackAsync(YamlCluster cluster, string copy)
    {
        string aside = Path.Combine(_directory.Path, "aside");
        await cluster.KillAsync(0);
        Directory.Move(MasterData, aside);
        Directory.Move(copy, MasterData);
        Directory.Move(aside, Path.Combine(_directory.Path, "replaced"));
        await cluster.StartAgainAsync(0);
    }

    private int ChunkFiles() => Enumerable.Range(1, 3).Sum(i =>
        Directory.EnumerateFiles(Path.Combine(_directory.Path, $"chunkserver{i}"), "*.chunk", SearchOption.AllDirectories).Count());

    /// <summary>How long the master's log is, as a chunk server remembers it.</summary>
    private ulong PositionOf(int server)
    {
        string file = Path.Combine(_directory.Path, $"chunkserver{server}", "master");
        if (!File.Exists(file))
            return 0;
        byte[] bytes = File.ReadAllBytes(file);
        ulong At(int slot) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan((slot * 512) + 32));
        return Math.Max(At(0), At(1));
    }
}
