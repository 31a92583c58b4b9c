using Semel.Master.Chunks;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Views;

/// <summary>The next configuration of a chunk.</summary>
internal sealed record ViewDecision(ServerSet Members, ServerId Primary)
{
    /// <summary>
    /// Decides from what the members answered to the promise of one version; null: nobody usable has answered, or too few, and others may
    /// still come.
    /// </summary>
    /// <remarks>
    /// Every member of the configuration before holds everything that was ever decided, so any one of those that answered can be primary and any selection of
    /// them is safe; except those that may have forgotten (suspect) or lost (damaged) what they voted for. Those are left out, and so are members that the primary
    /// accused, unless nothing else remains. A configuration below the floor is for members that have definitely lost what they held, and
    /// for long silence; rather than that it takes in again those that were accused.
    /// </remarks>
    /// <param name="members">Of the last logged configuration.</param>
    /// <param name="oldPrimary">Its primary.</param>
    /// <param name="answers">The answers with status OK to the promise of the new version.</param>
    /// <param name="accused">Members that do not answer the primary.</param>
    /// <param name="avoidOldPrimary">Clients cannot reach it: it becomes primary again only if there is no other.</param>
    /// <param name="floor">With fewer members the chunk hangs on too few disks to take records.</param>
    /// <param name="awaited">Members that may still come, or work again: no configuration below the floor leaves one of them out.</param>
    /// <param name="allowSuspects">When every member has answered and all are suspect: go on with them.</param>
    public static ViewDecision? Decide(
        ServerSet members, ServerId oldPrimary, IReadOnlyDictionary<ServerId, PromiseReply> answers, IReadOnlySet<ServerId> accused,
        bool avoidOldPrimary, int floor, IReadOnlySet<ServerId> awaited, bool allowSuspects)
    {
        var answered = members.Where(answers.ContainsKey).ToList();
        var clean = answered.Where(m => !answers[m].Suspect && !answers[m].Damaged).ToList();
        // What is committed is on every member. Who has less than another one knows to be committed has lost it, whatever it believes.
        uint committed = clean.Select(m => answers[m].Committed).DefaultIfEmpty().Max();
        foreach (var loser in clean.Where(m => answers[m].Tail < committed))
            answers[loser].Damaged = true;
        clean.RemoveAll(m => answers[m].Damaged);
        var chosen = clean.Where(m => !accused.Contains(m)).ToList();
        if (chosen.Count == 0)
            chosen = clean;
        if (chosen.Count == 0 && allowSuspects && answered.Count == members.Count)
            chosen = answered.Where(m => !answers[m].Damaged).ToList();
        if (chosen.Count == 0)
            return null;
        if (chosen.Count < floor)
        {
            chosen = [.. chosen.Union(clean.Where(awaited.Contains)).Order()];
            if (chosen.Count < floor && members.Any(m => awaited.Contains(m) && !answers.ContainsKey(m)))
                return null;
        }
        var primary = chosen
            .OrderBy(m => avoidOldPrimary && m == oldPrimary)
            .ThenBy(accused.Contains)
            .ThenByDescending(m => answers[m].LastView)
            .ThenByDescending(m => answers[m].Tail)
            .ThenByDescending(m => m == oldPrimary)
            .First();
        return new ViewDecision(ServerSet.Of(chosen), primary);
    }
}
