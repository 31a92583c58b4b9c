using System.Globalization;
using Semel.Cli.Terminal;
using Semel.Master.OperationLog;

namespace Semel.Cli.Commands.Log;

/// <summary>
/// What an operator has to know before deciding: what can be read, what is wrong, what can be mended, and exactly what would be given up.
/// </summary>
internal static class LogReport
{
    private sealed record Count(string What, int Entries);

    private sealed record Shape(
        string? ClusterId, ulong LastEntry, long Files, long Chunks, ulong? Witnessed, string? WitnessFault, string? Damage, IReadOnlyList<string> Mendable, string? Remaining, string? Torn,
        string? Contradiction, ulong? GiveUpFrom, ulong? DurableUpTo, IReadOnlyList<Count>? ReadableBehind);

    public static void Write(CommandContext context, OperationLogInspection log)
    {
        var journal = log.Journal;
        var behind = journal.Remaining is null ? null : log.CountBehind().Select(c => new Count(c.What, c.Count)).ToList();
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(new Shape(
                log.ClusterId, journal.LastEntry, log.Files, log.Chunks, journal.Witnessed, journal.WitnessFault, journal.FirstDamage, journal.Mendable, journal.Remaining, journal.Torn,
                log.Contradiction, behind is null ? null : journal.FirstLost, behind is null ? null : journal.Durable, behind)));
            return;
        }
        Say(context, $"cluster    {log.ClusterId ?? "(none yet)"}");
        Say(context, $"entries    1 to {journal.LastEntry} can be read{(journal.Mendable.Count > 0 ? " when the flipped bits are mended" : "")}: {log.Files} files, {log.Chunks} chunks");
        Say(context, $"witness    {(journal.Witnessed is { } entry ? string.Create(CultureInfo.InvariantCulture, $"entries up to {entry} had been durable") : journal.WitnessFault ?? "none")}");
        if (journal.FirstDamage is { } damage)
            Say(context, $"damage     {damage}");
        foreach (string bit in journal.Mendable)
            Say(context, $"mendable   {bit}");
        if (journal.Torn is { } torn)
            Say(context, $"torn       {torn}; a start cuts them");
        if (log.Contradiction is { } contradiction)
            Say(context, $"wrong      {contradiction}");
        if (behind is null)
            return;
        if (journal.Mendable.Count > 0)
            Say(context, $"remaining  {journal.Remaining}");
        if (journal.FirstLost == 0)
        {
            Say(context, $"lost       nothing before the damage can be read: put back a copy of the log");
            return;
        }
        int readable = behind.Sum(c => c.Entries);
        Say(context, $"lost       entries {journal.FirstLost} to at least {Math.Max(journal.Durable, journal.FirstLost)}, if they are given up; {readable} of them can still be read:");
        foreach (var count in behind)
            Say(context, $"             {count.Entries} {count.What}");
        Say(context, $"           Chunk servers may know of more than the log then does, and the master then gives nothing away until it is started with accept_lost_entries: true.");
        Say(context, $"           To give them up: semel log recover DIR --give-up-from {journal.FirstLost} --yes");
    }

    private static void Say(CommandContext context, FormattableString line) => context.Streams.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
