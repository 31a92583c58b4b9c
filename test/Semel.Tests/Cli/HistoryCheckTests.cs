using Semel.Cli.Clusters;
using Semel.Cli.Commands.Torture;
using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

/// <summary>Histories of one writer, one file and one reader, with one thing wrong each.</summary>
public sealed class HistoryCheckTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly List<HistoryLine> _lines = [];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_history_in_which_all_is_as_it_was_told_is_exactly_once()
    {
        Good();

        var verdict = Check();

        Assert.Equal(("exactly once", 3L, 3L), (verdict.Verdict, verdict.Acknowledged, verdict.Found));
        Assert.Equal(2, verdict.Faults["kill"]);
    }

    [Fact]
    public void A_record_that_was_not_acknowledged_may_be_there_or_not()
    {
        Good();
        Sent(4);
        Sent(5);
        Found(4, "0:400:0");
        Read(4, "0:400:0");

        Assert.Equal(("exactly once", 3L, 4L), (Check().Verdict, Check().Acknowledged, Check().Found));
    }

    [Fact]
    public void An_acknowledged_record_that_is_not_in_the_file_is_lost()
    {
        Good();
        Sent(4);
        Acknowledged(4, "0:400:0");

        Assert.Equal((1L, 0L, 0L), Sums());
    }

    [Fact]
    public void A_record_that_an_incarnation_was_told_of_and_that_is_not_in_the_file_is_lost()
    {
        Good();
        Sent(4);
        _lines.Add(new HistoryLine { Event = HistoryLine.Open, Path = "/f", Writer = "w", Id = 9, Epoch = 2, Seq = 4 });

        Assert.Equal((1L, 0L, 0L), Sums());
    }

    [Fact]
    public void A_record_that_is_left_out_before_one_that_is_there_is_lost()
    {
        Good();
        Sent(4);
        Sent(5);
        Found(5, "0:500:0");
        Read(5, "0:500:0");

        Assert.Equal((1L, 0L, 0L), Sums());
    }

    [Fact]
    public void A_record_with_other_bytes_than_were_sent_is_lost()
    {
        Good();
        Change(HistoryLine.Found, 2, line => line with { Crc = 1 });
        Change(HistoryLine.Read, 2, line => line with { Crc = 1 });

        Assert.Equal((1L, 0L, 0L), Sums());
    }

    [Fact]
    public void A_record_that_is_there_again_is_duplicated()
    {
        Good();
        Found(2, "0:400:0");
        Read(2, "0:400:0");

        Assert.Equal((0L, 1L, 0L), Sums());
    }

    [Fact]
    public void A_record_that_nobody_sent_is_duplicated()
    {
        Good();
        Found(4, "0:400:0");
        Read(4, "0:400:0");

        Assert.Equal((0L, 1L, 0L), Sums());
    }

    [Fact]
    public void A_record_that_is_elsewhere_than_was_answered_is_reordered()
    {
        Good();
        Change(HistoryLine.Acknowledged, 2, line => line with { Pos = "0:201:0" });

        Assert.Equal((0L, 0L, 1L), Sums());
    }

    [Fact]
    public void A_reader_that_saw_something_else_than_the_file_is_reordered()
    {
        Good();
        Change(HistoryLine.Read, 2, line => line with { Pos = "0:201:0" });

        Assert.Equal((0L, 0L, 1L), Sums());
    }

    [Fact]
    public void A_reader_that_saw_more_than_the_file_has_is_reordered()
    {
        Good();
        Sent(4);
        Read(4, "0:400:0");

        Assert.Equal((0L, 0L, 1L), Sums());
    }

    [Fact]
    public void A_reader_that_did_not_reach_the_end_a_replica_that_was_not_read_or_a_missing_end_make_it_incomplete()
    {
        Good();
        Sent(4);
        Found(4, "0:400:0");
        Assert.Equal("incomplete", Check().Verdict);

        _lines.Clear();
        Good();
        _lines.Add(new HistoryLine { Event = HistoryLine.Audit, Path = "/f", Unread = 1 });
        Assert.Equal("incomplete", Check().Verdict);

        _lines.Clear();
        Good();
        _lines.RemoveAll(l => l.Event == HistoryLine.End);
        Assert.Equal("incomplete", Check().Verdict);
    }

    [Fact]
    public void Replicas_that_differ_are_divergent_and_those_that_the_run_rotted_are_not()
    {
        Good();
        _lines.Add(new HistoryLine { Event = HistoryLine.Audit, Path = "/f", Divergent = 2, Planted = 3 });

        Assert.Equal(("violated", 2L), (Check().Verdict, Check().Divergent));
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("{\"ev\":\"read\",\"pos\":\"nowhere\",\"path\":\"/f\",\"reader\":\"r\",\"id\":9,\"seq\":1,\"crc\":1}")]
    [InlineData("{\"ev\":\"run\",\"version\":2}")]
    public void A_line_that_is_not_of_a_history_is_named(string line)
    {
        string file = Path.Combine(_directory.Path, "history");
        File.WriteAllText(file, line + "\n");

        var fault = Assert.Throws<CommandException>(() => HistoryCheck.Run(file));

        Assert.Equal(ExitCode.WrongUsage, fault.ExitCode);
        Assert.Contains("line 1", fault.Message, StringComparison.Ordinal);
    }

    private void Good()
    {
        _lines.Add(new HistoryLine { Event = HistoryLine.Run, Version = History.Version, Seed = 1, Seconds = 1 });
        _lines.Add(new HistoryLine { Event = HistoryLine.Open, Path = "/f", Writer = "w", Id = 9, Epoch = 1, Seq = 0 });
        for (ulong sequence = 1; sequence <= 3; sequence++)
        {
            Sent(sequence);
            Acknowledged(sequence, $"0:{sequence}00:0");
            Found(sequence, $"0:{sequence}00:0");
            Read(sequence, $"0:{sequence}00:0");
        }
        _lines.Add(new HistoryLine { Event = HistoryLine.Fault, Kind = "kill" });
        _lines.Add(new HistoryLine { Event = HistoryLine.Fault, Kind = "kill" });
        _lines.Add(new HistoryLine { Event = HistoryLine.End });
    }

    private void Sent(ulong sequence) => _lines.Add(new HistoryLine { Event = HistoryLine.Sent, Writer = "w", Seq = sequence, Crc = (uint)sequence * 10 });

    private void Acknowledged(ulong sequence, string position) => _lines.Add(new HistoryLine { Event = HistoryLine.Acknowledged, Writer = "w", Seq = sequence, Pos = position });

    private void Found(ulong sequence, string position) =>
        _lines.Add(new HistoryLine { Event = HistoryLine.Found, Path = "/f", Pos = position, Id = 9, Epoch = 1, Seq = sequence, Crc = (uint)sequence * 10 });

    private void Read(ulong sequence, string position) =>
        _lines.Add(new HistoryLine { Event = HistoryLine.Read, Reader = "r", Path = "/f", Pos = position, Id = 9, Seq = sequence, Crc = (uint)sequence * 10 });

    private void Change(string happening, ulong sequence, Func<HistoryLine, HistoryLine> change)
    {
        int at = _lines.FindIndex(l => l.Event == happening && l.Seq == sequence);
        _lines[at] = change(_lines[at]);
    }

    private (long Lost, long Duplicated, long Reordered) Sums()
    {
        var verdict = Check();
        Assert.Equal("violated", verdict.Verdict);
        return (verdict.Lost, verdict.Duplicated, verdict.Reordered);
    }

    private HistoryVerdict Check()
    {
        string file = Path.Combine(_directory.Path, "history");
        using (var history = new History(file, TimeProvider.System))
            _lines.ForEach(history.Add);
        return HistoryCheck.Run(file);
    }
}
