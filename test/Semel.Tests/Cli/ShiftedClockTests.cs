using Semel.Cli.Commands.Servers;

namespace Semel.Tests.Cli;

public class ShiftedClockTests
{
    [Fact]
    public void A_line_sets_the_wall_clock_off_and_timestamps_go_on()
    {
        var clock = new ShiftedClock(TimeProvider.System);
        long before = clock.GetTimestamp();

        clock.Obey("clock -3600000");
        clock.Obey("clock tower");
        clock.Obey("nonsense");

        Assert.InRange(TimeProvider.System.GetUtcNow() - clock.GetUtcNow(), TimeSpan.FromMinutes(59), TimeSpan.FromMinutes(61));
        Assert.True(clock.GetElapsedTime(before) < TimeSpan.FromMinutes(1));
        clock.Obey("clock 0");
        Assert.InRange(TimeProvider.System.GetUtcNow() - clock.GetUtcNow(), TimeSpan.FromMinutes(-1), TimeSpan.FromMinutes(1));
    }
}
