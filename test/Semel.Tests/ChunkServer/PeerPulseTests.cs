using Semel.ChunkServer.Appending;

namespace Semel.Tests.ChunkServer;

public sealed class PeerPulseTests
{
    private const long Window = 100;

    private readonly PeerPulse.Beat _beat = new PeerPulse().Of(1);

    [Fact]
    public void Nothing_is_known_of_a_server_that_never_answered() => Assert.Equal((0L, 0L), (_beat.Last, _beat.Slowest));

    [Fact]
    public void The_slowest_answer_counts_for_one_window_or_two()
    {
        _beat.Answered(1000, 1010, Window);
        Assert.Equal((1010L, 10L), (_beat.Last, _beat.Slowest));
        _beat.Answered(1000, 1050, Window);
        _beat.Answered(1050, 1051, Window);
        Assert.Equal((1051L, 50L), (_beat.Last, _beat.Slowest));

        // The next window begins with the first answer after the last one's end.
        _beat.Answered(1110, 1113, Window);
        Assert.Equal(50L, _beat.Slowest);
        _beat.Answered(1220, 1225, Window);
        Assert.Equal(5L, _beat.Slowest);
    }
}
