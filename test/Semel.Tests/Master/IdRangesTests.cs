using Semel.Master.Writers;

namespace Semel.Tests.Master;

public class IdRangesTests
{
    [Fact]
    public void It_has_what_was_added_and_nothing_between()
    {
        var ids = new IdRanges();
        var added = new HashSet<ulong>();
        ulong next = 1;
        var random = new Random(1);
        for (int i = 0; i < 500; i++)
        {
            next += random.Next(5) == 0 ? (ulong)random.Next(2, 50) : 1;
            ids.Add(next);
            ids.Add(next);
            added.Add(next);
        }
        for (ulong id = 0; id < next + 10; id++)
            Assert.Equal(added.Contains(id), ids.Contains(id));
    }

    [Fact]
    public void An_empty_one_has_nothing() => Assert.False(new IdRanges().Contains(0));
}
