using Semel.Protocol;
using Semel.Protocol.Identity;
using Xunit;

namespace Semel.Tests.Protocol;

public sealed class BallotTests
{
    [Fact]
    public void A_higher_version_beats_any_attempt_and_a_higher_attempt_beats_its_own_version()
    {
        Ballot[] ascending =
        [
            Ballot.None, Ballot.OfVersion(1), Ballot.OfVersion(1).NextAttempt(), Ballot.OfVersion(1).NextAttempt().NextAttempt(),
            Ballot.OfVersion(2), Ballot.OfVersion((1UL << 40) - 1),
        ];

        for (int i = 0; i < ascending.Length; i++)
        {
            for (int j = 0; j < ascending.Length; j++)
            {
                var (a, b) = (ascending[i], ascending[j]);
                Assert.Equal(i.CompareTo(j), Math.Sign(a.CompareTo(b)));
                Assert.Equal(i < j, a < b);
                Assert.Equal(i > j, a > b);
                Assert.Equal(i <= j, a <= b);
                Assert.Equal(i >= j, a >= b);
                Assert.Equal(i == j, a == b);
            }
        }
    }

    [Fact]
    public void A_ballot_shows_its_version_and_its_attempt()
    {
        var ballot = Ballot.OfVersion(5).NextAttempt().NextAttempt();

        Assert.Equal((5UL, 2u, "5.2"), (ballot.Version, ballot.Attempt, ballot.ToString()));
    }

    [Fact]
    public void Attempts_never_run_over_into_the_next_version()
    {
        var last = new Ballot(Ballot.OfVersion(6).Value - 1);

        Assert.Equal(5UL, last.Version);
        Assert.Throws<InvariantViolationException>(() => last.NextAttempt());
    }
}
