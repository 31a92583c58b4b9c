using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

public sealed class DemoTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_demonstration_ends_with_its_verdict()
    {
        var demo = await Shell.RunAsync("demo", "--records", "30000");

        Assert.Equal("verdict: exactly once: 30000 acknowledged, 30000 found, 0 lost, 0 duplicated, replicas identical", demo.Lines.Last());
        Assert.Equal(ExitCode.Done, demo.ExitCode);
    }

    [Fact]
    public async Task The_demonstration_takes_a_file_whose_lines_are_empty_equal_or_without_an_end()
    {
        string file = Path.Combine(_directory.Path, "input");
        await File.WriteAllTextAsync(file, string.Concat(Enumerable.Repeat("same\n\n", 500)) + "last");

        var demo = await Shell.RunAsync("demo", "--input", file, "--writers", "3", "--json");

        Assert.Equal(ExitCode.Done, demo.ExitCode);
        using var shape = JsonDocument.Parse(demo.Lines.Last());
        Assert.Equal(1001, shape.RootElement.GetProperty("found").GetInt64());
        Assert.Equal(0, shape.RootElement.GetProperty("lost").GetInt64());
    }

    [Fact]
    public async Task An_interrupted_demonstration_ends_its_processes_and_removes_its_directory()
    {
        string temporary = Directory.CreateDirectory(Path.Combine(_directory.Path, "tmp")).FullName;
        await using var demo = Shell.Begin(("TMPDIR", temporary), "demo", "--records", "3000000");
        await Processes.UntilAsync(() => Processes.ChildrenOf(demo.Id).Length == 4);
        var children = Processes.ChildrenOf(demo.Id);

        demo.Interrupt();

        Assert.Equal(ExitCode.Interrupted, (await demo.EndAsync()).ExitCode);
        Assert.All(children, child => Assert.False(Directory.Exists($"/proc/{child}")));
        Assert.Empty(Directory.GetDirectories(temporary, "semel-*"));
    }

    [Fact]
    public async Task Servers_of_a_demonstration_that_is_killed_end_by_themselves()
    {
        await using var demo = Shell.Begin("demo", "--records", "3000000");
        await Processes.UntilAsync(() => Processes.ChildrenOf(demo.Id).Length == 4);
        var children = Processes.ChildrenOf(demo.Id);

        await demo.KillAsync();

        await Processes.UntilAsync(() => children.All(child => !Directory.Exists($"/proc/{child}")));
    }

    [Fact]
    public async Task A_missing_input_is_not_found()
    {
        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync("demo", "--input", Path.Combine(_directory.Path, "nothing"))).ExitCode);
    }
}
