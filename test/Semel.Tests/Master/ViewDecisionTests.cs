using Semel.Master.Chunks;
using Semel.Master.Views;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class ViewDecisionTests
{
    /// <summary>
    /// Members are 1, 2 and 3, the primary is 1. An answer is <c>last view/tail</c>, with <c>c</c> and what it knows to be committed, with <c>s</c> for suspect and <c>d</c> for damaged; <c>-</c> is none.
    /// </summary>
    [Theory]
    // Everybody answered: all stay; the old primary before others like it.
    [InlineData("1/9 1/9 1/9", "", false, "1 2 3", 1)]
    // The longest log of the highest view leads: fewer clients must repeat.
    [InlineData("1/5 1/9 1/7", "", false, "1 2 3", 2)]
    [InlineData("1/9 1/9 2/3", "", false, "1 2 3", 3)]
    // Who does not answer is out.
    [InlineData("- 1/5 1/7", "", false, "2 3", 3)]
    [InlineData("- - 1/7", "", false, "3", 3)]
    [InlineData("- - -", "", false, null, 0)]
    // Who was accused is out, unless nothing else remains.
    [InlineData("1/9 1/9 1/9", "2", false, "1 3", 1)]
    [InlineData("1/9 1/9 1/9", "2 3", false, "1", 1)]
    [InlineData("- 1/9 -", "2", false, "2", 2)]
    [InlineData("1/9 1/5 1/6", "1 2 3", false, "1 2 3", 1)]
    // Who may have forgotten or lost something is out; alone it is not enough.
    [InlineData("1/9 1/9s 1/9", "", false, "1 3", 1)]
    [InlineData("1/9d 1/3 1/9s", "", false, "2", 2)]
    [InlineData("1/9s 1/9s 1/9d", "", false, null, 0)]
    [InlineData("1/9s - 1/9", "3", false, "3", 3)]
    // Who has less than another one knows to be committed has lost it, even with the highest view.
    [InlineData("1/9c9 2/3 1/9", "", false, "1 3", 1)]
    [InlineData("1/9c4 1/4 1/3", "", false, "1 2", 1)]
    [InlineData("1/9c9s 1/3 1/9", "", false, "2 3", 3)]
    // Clients cannot reach the old primary: any other one.
    [InlineData("1/9 1/5 1/6", "", true, "1 2 3", 3)]
    [InlineData("1/9 - -", "", true, "1", 1)]
    public void The_next_configuration_follows_from_the_answers(string answers, string accused, bool avoidPrimary, string? members, ulong primary)
    {
        var decision = Decide(answers, accused, avoidPrimary, allowSuspects: false);

        Assert.Equal(members, decision is null ? null : string.Join(' ', decision.Members.Select(m => m.Value)));
        Assert.Equal(primary, decision?.Primary.Value ?? 0);
    }

    [Theory]
    [InlineData("1/3s 1/9s 1/9d", "1 2", 2)]
    [InlineData("1/3s 1/9s -", null, 0)]
    [InlineData("1/3s 1/9s 1/1", "3", 3)]
    public void Suspects_go_on_only_where_that_is_allowed_and_all_have_answered(string answers, string? members, ulong primary)
    {
        var decision = Decide(answers, "", false, allowSuspects: true);

        Assert.Equal(members, decision is null ? null : string.Join(' ', decision.Members.Select(m => m.Value)));
        Assert.Equal(primary, decision?.Primary.Value ?? 0);
    }

    /// <summary>As above, with two members as the floor; members that are awaited may still come, or work again.</summary>
    [Theory]
    // One that is up is not enough, as long as one of the others may come.
    [InlineData("1/9 - -", "", "2 3", null, 0)]
    [InlineData("1/9 - -", "", "3", null, 0)]
    [InlineData("1/9 - -", "", "", "1", 1)]
    // Two are enough, whoever may still come.
    [InlineData("1/9 1/9 -", "", "3", "1 2", 1)]
    // Who has definitely lost its replica need not be waited for, the others must be.
    [InlineData("1/9 1/9d 1/9s", "", "", "1", 1)]
    [InlineData("1/9 1/9d -", "", "3", null, 0)]
    [InlineData("1/9c9 1/3 1/9s", "", "1 2", "1", 1)]
    // An accused member is taken in again rather than that, and becomes no primary; not when it was accused for long.
    [InlineData("1/9 1/5 -", "2", "2 3", "1 2", 1)]
    [InlineData("1/5 1/9 -", "2", "2 3", "1 2", 1)]
    [InlineData("1/5 1/9 -", "2", "3", null, 0)]
    [InlineData("1/5 1/9 1/9", "2 3", "1 2 3", "1 2 3", 1)]
    [InlineData("1/5 1/9 1/9", "2 3", "1 3", "1 3", 1)]
    [InlineData("1/5 1/9 1/9d", "2", "", "1", 1)]
    public void No_configuration_is_below_the_floor_while_a_member_may_still_come(string answers, string accused, string awaited, string? members, ulong primary)
    {
        var decision = Decide(answers, accused, false, allowSuspects: false, floor: 2, awaited);

        Assert.Equal(members, decision is null ? null : string.Join(' ', decision.Members.Select(m => m.Value)));
        Assert.Equal(primary, decision?.Primary.Value ?? 0);
    }

    private static HashSet<ServerId> Ids(string ids) => [.. ids.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(id => new ServerId(ulong.Parse(id)))];

    private static ViewDecision? Decide(string answers, string accused, bool avoidPrimary, bool allowSuspects, int floor = 1, string awaited = "")
    {
        var replies = new SortedDictionary<ServerId, PromiseReply>();
        foreach (var (text, index) in answers.Split(' ').Select((t, i) => (t, i)))
        {
            if (text == "-")
                continue;
            var parts = text.TrimEnd('s', 'd').Split('/');
            replies.Add(new ServerId((ulong)index + 1), new PromiseReply
            {
                LastView = Ballot.OfVersion(ulong.Parse(parts[0])).Value,
                Tail = uint.Parse(parts[1].Split('c')[0]),
                Committed = parts[1].Contains('c') ? uint.Parse(parts[1].Split('c')[1]) : 0,
                Suspect = text.EndsWith('s'),
                Damaged = text.EndsWith('d'),
            });
        }
        var members = ServerSet.Of([new ServerId(1), new ServerId(2), new ServerId(3)]);
        return ViewDecision.Decide(members, new ServerId(1), replies, Ids(accused), avoidPrimary, floor, Ids(awaited), allowSuspects);
    }
}
