using Semel.Cli.Terminal;
using Semel.Client;
using Semel.Protocol.Identity;
using Semel.Protocol.Wires;

namespace Semel.Tests.Cli;

public class ExitCodeTests
{
    public static TheoryData<Exception, int> Failures => new()
    {
        { CommandException.Usage("x"), 2 },
        { new PathNotFoundException("/a", "x"), 3 },
        { new PathConflictException("/a", "x"), 4 },
        { new InvalidPathException("/a", "x"), 2 },
        { new InvalidPositionException("/a", RecordPosition.Start, "x"), 2 },
        { new PositionOfAnotherFileException("/a", RecordPosition.Start, 1), 4 },
        { new RecordTooLargeException("record", 2, 1), 2 },
        { new ClusterUnavailableException("x"), 5 },
        { new ClusterUnavailableException("x", inDoubt: true), 6 },
        { new DeadlineExceededException("x", inDoubt: false), 5 },
        { new DeadlineExceededException("x", inDoubt: true), 6 },
        { new ClusterRefusedException("x"), 4 },
        { new CorruptDataException("x"), 8 },
        { new AppendInDoubtException("x", [new OperationId(new WriterId(1), 2, 3)]), 6 },
        { new WriterFencedException("x"), 4 },
        { new WriterExpiredException("x"), 4 },
        { new OperationIdReusedException("x"), 4 },
        { new TooManyWritersException("x"), 1 },
        { new AppendRefusedException("x"), 1 },
        { new AcknowledgedRecordsLostException("x"), 8 },
        { new AddressUnavailableException("x"), 4 },
        { new UnauthorizedAccessException("x"), 7 },
        { new TimeoutException("x"), 5 },
        { new IOException("x"), 1 },
        { new InvalidOperationException("x"), 1 },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public void Each_failure_has_its_exit_code(Exception failure, int expected)
    {
        var (code, message) = Semel.Cli.Terminal.Failures.Explain(failure);

        Assert.Equal(expected, code);
        Assert.NotEmpty(message);
    }

    [Fact]
    public void An_outcome_that_is_unknown_comes_with_the_operation_id_to_repeat()
    {
        var (_, message) = Semel.Cli.Terminal.Failures.Explain(new AppendInDoubtException("x", [new OperationId(new WriterId(1), 2, 3)]));

        Assert.Contains("1.2.3", message, StringComparison.Ordinal);
    }
}
