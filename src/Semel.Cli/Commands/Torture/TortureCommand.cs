using System.CommandLine;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Torture;

/// <summary><c>semel torture</c>: a cluster of its own, everything that can go wrong, and whether the promise held.</summary>
internal static class TortureCommand
{
    private sealed record Shape(
        double Seconds, long Faults, long Acknowledged, long Found, long Lost, long Duplicated, long Reordered, long Divergent, string Verdict,
        IReadOnlyDictionary<string, long> ByKind, long Seed, string History);

    public static Command Create(VerbRunner run)
    {
        var seconds = Parsing.Number("--seconds", 60, 5, 86_400, "How long faults fall.");
        var seed = Parsing.OptionalNumber("--seed", 0, int.MaxValue, "Draws kinds, targets and times of the faults, and the records. Default: another one each time.");
        var faults = new Option<FaultKind[]>("--faults")
        {
            Description = $"Some of {string.Join(", ", FaultKinds.All.Select(FaultKinds.NameOf))}. Default: all of them.",
            HelpName = "KINDS",
            DefaultValueFactory = _ => [.. FaultKinds.All],
        };
        faults.CustomParser = result =>
        {
            var kinds = new List<FaultKind>();
            foreach (string name in result.Tokens[0].Value.Split(','))
            {
                if (FaultKinds.Find(name) is { } kind)
                    kinds.Add(kind);
                else
                    result.AddError($"--faults: '{name}' is none of {string.Join(", ", FaultKinds.All.Select(FaultKinds.NameOf))}.");
            }
            return [.. kinds.Distinct()];
        };
        var writers = Parsing.Number("--writers", 8, 1, 64, "Producers, each with a name of its own.");
        var files = Parsing.Number("--files", 2, 1, 16, "Files that they append to.");
        var history = new Option<string?>("--history") { Description = "Where to write down all that was sent, told, seen and done. Default: a new file in the temporary directory.", HelpName = "FILE" };
        var check = new Option<string?>("--check") { Description = "Judge the history of an earlier run again, and do nothing else.", HelpName = "FILE" };
        var keep = new Option<bool>("--keep") { Description = "Keep the servers' data and logs. Kept anyhow when something was violated." };
        var command = new Command("torture",
            "Start a master and five chunk servers as processes, append and read while they are killed, paused, cut off from each other, filled up, rotted, set off "
            + "in time, started cold and damaged at the ends of their files, then say whether each acknowledged record is there once, in order, the same on every replica.")
        {
            seconds, seed, faults, writers, files, history, check, keep,
        };
        return run.Runs(command, async context =>
        {
            if (context.Get(check) is { } file)
                return Judge(context, file);
            int drawn = (int)(context.Get(seed) ?? new Random().Next());
            string written = Path.GetFullPath(context.Get(history)
                ?? Path.Combine(Path.GetTempPath(), FormattableString.Invariant($"semel-torture-{drawn}-{Environment.ProcessId}.jsonl")));
            var options = new TortureOptions(
                (int)context.Get(seconds), drawn, context.Get(faults), (int)context.Get(writers), (int)context.Get(files), written, context.Get(keep));
            context.Say($"seed {drawn}, history in {written}");
            await new TortureRun(context, options).RunAsync();
            return Judge(context, written);
        });
    }

    private static int Judge(CommandContext context, string history)
    {
        var v = HistoryCheck.Run(history);
        foreach (string complaint in v.Complaints)
            context.Say(complaint);
        string kinds = string.Join(", ", v.Faults.Select(f => FormattableString.Invariant($"{f.Value} {f.Key}")));
        long faults = v.Faults.Values.Sum();
        context.Streams.WriteLine(context.Json
            ? JsonLine.Of(new Shape(
                v.Seconds, faults, v.Acknowledged, v.Found, v.Lost, v.Duplicated, v.Reordered, v.Divergent, v.Verdict, v.Faults, v.Seed, history))
            : FormattableString.Invariant($"faults: {faults} ({kinds})\n")
                + FormattableString.Invariant($"verdict: {v.Verdict}: {v.Acknowledged} acknowledged, {v.Found} found, {v.Lost} lost, {v.Duplicated} duplicated, {v.Reordered} reordered, {v.Divergent} divergent"));
        return v.IsViolated ? ExitCode.VerificationFailed : v.Unfinished > 0 ? ExitCode.Temporary : ExitCode.Done;
    }
}
