using System.Text.Json;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;

namespace Semel.EndToEnd;

/// <summary>
/// <c>append --resume</c> with the inputs that log shippers meet: the same again, more of it, another one, cut, rotated, emptied, half
/// written.
/// </summary>
public sealed class ResumeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private static string Lines(int from, int to, string word = "line") => string.Concat(Enumerable.Range(from, to - from + 1).Select(i => $"{word} {i}\n"));

    [Fact]
    public async Task The_same_input_again_and_more_of_it_is_compared_and_appended_once()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        var ship = new Shipper(up.Master);
        Assert.Equal((1_000, 0, 0), Counts(await ship.ResumeAsync(Lines(1, 1_000))));

        var again = await ship.ResumeAsync(Lines(1, 1_000));
        var more = await ship.ResumeAsync(Lines(1, 1_200));

        Assert.Equal((0, 1_000), Counts(again) is var (records, compared, not) ? (records, compared + not) : default);
        Assert.True(Counts(again).Compared > 0);
        Assert.Equal(200, Counts(more).Records);
        Assert.Equal(Lines(1, 1_200), await ship.CatAsync());
    }

    [Fact]
    public async Task An_input_that_ends_before_what_was_appended_is_refused()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        var ship = new Shipper(up.Master);
        await ship.ResumeAsync(Lines(1, 1_000));

        foreach (string cut in new[] { Lines(1, 3), Lines(1, 999), "" })
        {
            var refused = await ship.ResumeAsync(cut);
            Assert.Equal((ExitCode.Conflict, ""), (refused.ExitCode, refused.Output));
            Assert.Contains($"has appended 1,000 records to /log, this input has {cut.Count(c => c == '\n')}", refused.Error, StringComparison.Ordinal);
            Assert.Contains("--start-anew", refused.Error, StringComparison.Ordinal);
        }
        Assert.Equal(Lines(1, 1_000), await ship.CatAsync());
    }

    [Fact]
    public async Task Another_input_is_refused_before_anything_of_it_is_appended()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        var ship = new Shipper(up.Master);
        await ship.ResumeAsync(Lines(1, 1_000));

        // Three lines, and a rotated log that has grown beyond the old one already.
        var three = await ship.ResumeAsync(Lines(1, 3, "other"));
        var rotated = await ship.ResumeAsync(Lines(1, 1_500, "other"));
        var changed = await ship.ResumeAsync(Lines(1, 999) + "line 1000 was changed\n" + Lines(1_001, 1_010));

        Assert.All(new[] { three, rotated, changed }, refused => Assert.Equal((ExitCode.Conflict, ""), (refused.ExitCode, refused.Output)));
        Assert.Contains("'other ", rotated.Error, StringComparison.Ordinal);
        Assert.Contains("Line 1000 ", changed.Error, StringComparison.Ordinal);
        Assert.Contains("'line 1000' (9 bytes)", changed.Error, StringComparison.Ordinal);
        Assert.Contains("'line 1000 was changed' (21 bytes)", changed.Error, StringComparison.Ordinal);
        Assert.Equal(Lines(1, 1_000), await ship.CatAsync());
    }

    [Fact]
    public async Task A_line_that_was_half_there_is_told_when_it_is_taken_and_refused_when_it_has_grown()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        var ship = new Shipper(up.Master);

        var half = await ship.ResumeAsync("a\nhal");
        var same = await ship.ResumeAsync("a\nhal");
        var whole = await ship.ResumeAsync("a\nhalf line\nc\n");

        Assert.Equal((ExitCode.Done, 2), (half.ExitCode, Counts(half).Records));
        Assert.Contains("the last line had no newline; taken as a record of 3 bytes", half.Error, StringComparison.Ordinal);
        Assert.Equal((ExitCode.Done, ""), (same.ExitCode, same.Error));
        Assert.Equal((ExitCode.Conflict, ""), (whole.ExitCode, whole.Output));
        Assert.Contains("Line 2 of the input begins with the last record", whole.Error, StringComparison.Ordinal);
        Assert.Contains("in the file 'hal' (3 bytes), in the input 'half line' (9 bytes)", whole.Error, StringComparison.Ordinal);
        Assert.Contains("tail -n +2 INPUT | semel append /log --writer OTHER", whole.Error, StringComparison.Ordinal);
        Assert.Equal("a\nhal\n", await ship.CatAsync());
    }

    [Fact]
    public async Task With_complete_lines_a_log_may_be_shipped_while_it_is_written()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        var ship = new Shipper(up.Master);

        var half = await ship.ResumeAsync("a\nhal", "--complete-lines");
        var whole = await ship.ResumeAsync("a\nhalf line\nc\n", "--complete-lines");

        Assert.Contains("its 3 bytes were left for the next time", half.Error, StringComparison.Ordinal);
        Assert.Equal((1, 2), (Counts(half).Records, Counts(whole).Records));
        Assert.Equal("a\nhalf line\nc\n", await ship.CatAsync());
    }

    [Fact]
    public async Task Starting_anew_appends_another_input_under_the_same_name_and_keeps_what_is_there()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path);
        var ship = new Shipper(up.Master);
        await ship.ResumeAsync(Lines(1, 1_000));

        var anew = await ship.ResumeAsync(Lines(1, 2, "rotated"), "--start-anew");
        var more = await ship.ResumeAsync(Lines(1, 3, "rotated"));

        Assert.Equal((ExitCode.Done, 2), (anew.ExitCode, Counts(anew).Records));
        Assert.Equal((1, 2, 0), Counts(more));
        Assert.Equal(Lines(1, 1_000) + Lines(1, 3, "rotated"), await ship.CatAsync());
        var verified = await Shell.RunAsync("verify", "/log", "--master", up.Master);
        Assert.Equal(ExitCode.Done, verified.ExitCode);
    }

    [Fact]
    public async Task What_the_file_does_not_remember_is_counted_as_not_compared()
    {
        await using var up = await RunningUp.StartAsync(_directory.Path, "--chunk-size", "1MiB");
        var ship = new Shipper(up.Master);
        string large = string.Concat(Enumerable.Range(1, 60).Select(i => $"{i} {new string('x', 200_000)}\n"));
        await ship.ResumeAsync(large);

        var again = await ship.ResumeAsync(large);
        var changed = await ship.ResumeAsync("1 y" + large[3..]);

        // The last 8 batches are compared, in whatever chunks they are; the first line is older than that, as is told.
        Assert.Equal((0, 60), Counts(again) is var (records, compared, not) ? (records, compared + not) : default);
        Assert.InRange(Counts(again).Compared, 8, 59);
        Assert.Equal(ExitCode.Done, changed.ExitCode);
        Assert.Equal(Counts(again), Counts(changed));
    }

    private static (int Records, int Compared, int NotCompared) Counts(Shell.Result result)
    {
        Assert.Equal(ExitCode.Done, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        return (json.RootElement.GetProperty("records").GetInt32(), json.RootElement.GetProperty("compared").GetInt32(), json.RootElement.GetProperty("not_compared").GetInt32());
    }

    /// <summary>Runs <c>semel append --resume</c> on one input after the other, as cron does.</summary>
    private sealed class Shipper(string master)
    {
        public Task<Shell.Result> ResumeAsync(string input, params string[] more) =>
            Shell.RunAsync(input, ["append", "/log", "--create", "--writer", "ship", "--resume", "--json", "--master", master, .. more]);

        public async Task<string> CatAsync() => (await Shell.RunAsync("cat", "/log", "--master", master)).Output;
    }
}
