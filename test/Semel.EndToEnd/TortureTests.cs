using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

/// <summary><c>semel torture</c>, and what it does to processes and disks.</summary>
public sealed class TortureTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string History => Path.Combine(_directory.Path, "history");

    [Fact]
    public async Task Records_are_there_exactly_once_after_processes_were_killed_paused_and_cut_off()
    {
        var torture = await Shell.RunAsync("torture", "--seconds", "15", "--seed", "3", "--faults", "kill,pause,partition", "--history", History, "--json");

        Assert.True(torture.ExitCode == ExitCode.Done, torture.Error + torture.Output);
        var shape = Parse(torture.Lines.Last());
        Assert.Equal("exactly once", shape.GetProperty("verdict").GetString());
        Assert.True(shape.GetProperty("acknowledged").GetInt64() > 100);
        foreach (string kind in new[] { "kill", "pause", "partition" })
            Assert.True(shape.GetProperty("by_kind").GetProperty(kind).GetInt64() > 0, kind);
        Assert.Equal(
            ["seconds", "faults", "acknowledged", "found", "lost", "duplicated", "reordered", "divergent", "verdict", "by_kind", "seed", "history"], UpTests.Keys(torture.Lines.Last()));

        // The history says the same again, and other things when it is changed.
        var again = await Shell.RunAsync("torture", "--check", History, "--json");
        string[] lines = await File.ReadAllLinesAsync(History);
        await File.WriteAllLinesAsync(History, lines.Except([lines.Last(l => l.Contains("\"ev\":\"found\"", StringComparison.Ordinal))]));
        var changed = await Shell.RunAsync("torture", "--check", History, "--json");

        Assert.Equal((ExitCode.Done, torture.Lines.Last()), (again.ExitCode, again.Lines.Last()));
        Assert.Equal(ExitCode.VerificationFailed, changed.ExitCode);
        Assert.Equal(1, Parse(changed.Lines.Last()).GetProperty("lost").GetInt64());
    }

    [Theory]
    [InlineData("cold-start", "6", "start again over")]
    [InlineData("last-bytes", "6", ".meta of")]
    [InlineData("last-bytes", "9", "the master refuses its damaged log, which is mended")]
    public async Task Records_are_there_exactly_once_after_cold_starts_and_damage_to_the_last_bytes_of_files(
        string kind, string seed, string said)
    {
        var torture = await Shell.RunAsync(
            "torture", "--seconds", "8", "--seed", seed, "--faults", kind, "--writers", "2", "--files", "1", "--history", History,
            "--json");

        Assert.True(torture.ExitCode == ExitCode.Done, torture.Error + torture.Output);
        var shape = Parse(torture.Lines.Last());
        Assert.Equal("exactly once", shape.GetProperty("verdict").GetString());
        Assert.True(shape.GetProperty("by_kind").GetProperty(kind).GetInt64() > 0, kind);
        Assert.Contains(said, torture.Error, StringComparison.Ordinal);
        Assert.True(shape.GetProperty("acknowledged").GetInt64() > 0);
    }

    [Fact]
    public async Task An_interrupted_run_ends_its_processes_also_those_that_it_had_stopped()
    {
        await using var torture = Shell.Begin("torture", "--seconds", "600", "--seed", "5", "--faults", "pause", "--history", History);
        var children = await Processes.UntilStoppedChildAsync(torture.Id);

        torture.Interrupt();

        var end = await torture.EndAsync();
        Assert.True(end.ExitCode == ExitCode.Interrupted, end.Error);
        Assert.All(children, child => Assert.False(Directory.Exists($"/proc/{child}")));
    }

    [Fact]
    public async Task Processes_of_a_run_that_is_killed_end_by_themselves_also_those_that_it_had_stopped()
    {
        await using var torture = Shell.Begin("torture", "--seconds", "600", "--seed", "5", "--faults", "pause", "--history", History);
        var children = await Processes.UntilStoppedChildAsync(torture.Id);

        await torture.KillAsync();

        await Processes.UntilAsync(() => children.All(child => !Directory.Exists($"/proc/{child}")));
    }

    [Fact]
    public async Task A_paused_process_does_nothing_until_the_pause_ends()
    {
        await using var server = await ServerProcess.StartAsync(
            "master", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Path.Combine(_directory.Path, "m")], TimeProvider.System, default);

        var pause = await server.PauseAsync();
        await Processes.UntilAsync(() => Processes.StateOf(server.Id) == 'T');
        await pause.DisposeAsync();

        await Processes.UntilAsync(() => Processes.StateOf(server.Id) != 'T');
    }

    [Fact]
    public async Task A_small_disk_can_be_filled_up_and_freed()
    {
        string? refused = null;
        string over = Path.Combine(_directory.Path, "disk");
        await using var disk = await SmallDisk.TryMountAsync(over, 1 << 20, why => refused = why);
        if (disk is null)
            Assert.Skip($"A file system of limited size cannot be mounted here: {refused}");
        Directory.CreateDirectory(disk.Path);

        disk.Fill();
        Assert.Throws<IOException>(() => File.WriteAllBytes(Path.Combine(disk.Path, "a"), new byte[10_000]));
        disk.Free();
        File.WriteAllBytes(Path.Combine(disk.Path, "a"), new byte[10_000]);

        Assert.Empty(Directory.EnumerateFileSystemEntries(over));
    }

    private static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
