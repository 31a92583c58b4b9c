using System.Globalization;
using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

/// <summary>Positions belong to their file, and say so.</summary>
public sealed class PositionTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_position_of_a_file_that_was_made_anew_is_refused_by_every_verb_that_takes_one()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        string[] at = ["--master", up.Master];
        string position = await MakeAsync(at);
        Assert.Equal("2\n3\n", (await Shell.RunAsync(["cat", "/log", "--from", position, .. at])).Output);
        Assert.Equal(ExitCode.Done, (await Shell.RunAsync(["rm", "/log", .. at])).ExitCode);
        string ofTheNewOne = await MakeAsync(at);

        foreach (string[] verb in new[] { new[] { "cat", "/log" }, ["records", "/log"], ["records", "/log", "-f", "-n", "1"] })
        {
            var refused = await Shell.RunAsync([.. verb, "--from", position, .. at]);
            Assert.Equal(ExitCode.Conflict, refused.ExitCode);
            Assert.Contains(position, refused.Error, StringComparison.Ordinal);
            Assert.Contains("deleted and made anew", refused.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", refused.Error, StringComparison.Ordinal);
        }
        Assert.Equal("2\n3\n", (await Shell.RunAsync(["cat", "/log", "--from", ofTheNewOne, .. at])).Output);
        Assert.Equal("2\n3\n", (await Shell.RunAsync(["cat", "/log", "--from", ofTheNewOne[(ofTheNewOne.IndexOf('-', StringComparison.Ordinal) + 1)..], .. at])).Output);
    }

    [Fact]
    public async Task A_position_that_is_no_place_in_the_file_is_refused_and_the_next_one_is_none_of_those()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        string[] at = ["--master", up.Master];
        string third = await MakeAsync(at, line: 2);
        string frame = third[..(third.LastIndexOf(':') + 1)];
        int index = int.Parse(third[frame.Length..], CultureInfo.InvariantCulture);
        string chunk = third[..(third.IndexOf(':', StringComparison.Ordinal) + 1)];

        Assert.Equal("3\n", (await Shell.RunAsync(["cat", "/log", "--from", third, .. at])).Output);
        Assert.Equal((ExitCode.Done, ""), await Shell.RunAsync(["cat", "/log", "--from", $"{frame}{index + 1}", .. at]) is var after ? (after.ExitCode, after.Output) : default);
        foreach (string nowhere in new[] { $"{frame}{index + 2}", $"{frame}2147483647", $"{chunk}8:0", $"{chunk}65536:0", third.Replace("-0:", "-9:", StringComparison.Ordinal) })
        {
            var refused = await Shell.RunAsync(["cat", "/log", "--from", nowhere, .. at]);
            Assert.Equal((ExitCode.WrongUsage, ""), (refused.ExitCode, refused.Output));
            Assert.Contains(nowhere, refused.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task What_an_operation_and_the_records_say_is_the_same_position()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        string[] at = ["--master", up.Master];
        string second = await MakeAsync(at);

        using var status = JsonDocument.Parse((await Shell.RunAsync(["op", "status", "/log", "w", "2", "--json", .. at])).Output);

        Assert.Equal(second, status.RootElement.GetProperty("position").GetString());
    }

    /// <summary>A file of three records. Returns the position of one of them, the second if nothing else is said.</summary>
    private static async Task<string> MakeAsync(string[] at, int line = 1)
    {
        Assert.Equal(ExitCode.Done, (await Shell.RunAsync("1\n2\n3\n", ["append", "/log", "--create", "--writer", "w", .. at])).ExitCode);
        var records = await Shell.RunAsync(["records", "/log", "--json", .. at]);
        using var record = JsonDocument.Parse(records.Lines[line]);
        return record.RootElement.GetProperty("position").GetString()!;
    }
}
