using Semel.ChunkServer.Replicas;
using Semel.Protocol.Identity;

namespace Semel.Tests.ChunkServer;

public class LineageTests
{
    [Fact]
    public void Equal_lineages_share_the_shorter_log()
    {
        var mine = Of((1, 0), (2, 100));

        Assert.Equal(150u, mine.CommonPrefix(200, Of((1, 0), (2, 100)).Stretches, 150));
    }

    [Fact]
    public void Logs_part_where_the_ballots_do()
    {
        var mine = Of((1, 0), (2, 100));

        Assert.Equal(100u, mine.CommonPrefix(200, Of((1, 0), (3, 100)).Stretches, 300));
        Assert.Equal(80u, mine.CommonPrefix(200, Of((1, 0), (3, 80)).Stretches, 300));
        Assert.Equal(100u, mine.CommonPrefix(200, Of((1, 0), (3, 120)).Stretches, 300));
    }

    [Fact]
    public void A_log_that_goes_on_in_the_same_ballot_shares_all_of_the_shorter_one()
    {
        var mine = Of((1, 0));

        Assert.Equal(60u, mine.CommonPrefix(60, Of((1, 0), (2, 100)).Stretches, 300));
        Assert.Equal(100u, mine.CommonPrefix(130, Of((1, 0), (2, 100)).Stretches, 300));
    }

    [Fact]
    public void An_empty_log_shares_nothing() => Assert.Equal(0u, Of().CommonPrefix(0, Of((1, 0)).Stretches, 50));

    [Fact]
    public void Other_first_ballots_share_nothing() => Assert.Equal(0u, Of((1, 0)).CommonPrefix(50, Of((2, 0)).Stretches, 50));

    [Fact]
    public void A_cut_forgets_the_ballots_that_begin_behind_it()
    {
        var lineage = Of((1, 0), (2, 100), (3, 200));

        lineage.Cut(200);

        Assert.Equal([(B(1), 0u), (B(2), 100u)], lineage.Stretches);
    }

    private static Ballot B(ulong version) => Ballot.OfVersion(version);

    private static Lineage Of(params (ulong Version, uint Start)[] stretches)
    {
        var lineage = new Lineage();
        foreach (var (version, start) in stretches)
            Assert.True(lineage.TryExtend(B(version), start));
        return lineage;
    }
}
