using System.CommandLine;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Terminal;
using Semel.Master.OperationLog;
using Semel.Storage.Disks;

namespace Semel.Cli.Commands.Log;

/// <summary><c>semel log inspect|recover DIR</c>: the operation log of a master that does not run.</summary>
internal static class LogCommand
{
    private static readonly Argument<string> Directory = new("DIR") { Description = "Data directory of a master that is stopped." };

    public static Command Create(VerbRunner run)
    {
        var command = new Command("log", "Look at, mend or cut the operation log of a master that is stopped.");
        command.Subcommands.Add(Inspect(run));
        command.Subcommands.Add(Recover(run));
        return command;
    }

    private static Command Inspect(VerbRunner run)
    {
        var command = new Command("inspect", "Say how far the log verifies and what is wrong with it. Changes nothing.") { Directory };
        return run.Runs(command, async context =>
        {
            using var log = await OpenAsync(context);
            LogReport.Write(context, log);
            return log.Journal.FirstDamage is null && log.Contradiction is null ? ExitCode.Done : ExitCode.VerificationFailed;
        });
    }

    private static Command Recover(VerbRunner run)
    {
        var yes = new Option<bool>("--yes") { Description = "Do it. Without, only what would be done is said." };
        var giveUp = new Option<ulong?>("--give-up-from") { Description = "End the log before this entry, the first that cannot be mended: it and all behind it are lost.", HelpName = "ENTRY" };
        var command = new Command("recover", "Mend what can be proved (flipped bits), or cut the log before damage that cannot be mended.") { Directory, yes, giveUp };
        return run.Runs(command, async context =>
        {
            using var log = await OpenAsync(context);
            LogReport.Write(context, log);
            ulong? from = context.Get(giveUp);
            if (from is { } entry)
                Check(log, entry);
            if (from is null && log.Journal.Mendable.Count == 0)
                return log.Journal.Remaining is null && log.Contradiction is null ? ExitCode.Done : ExitCode.VerificationFailed;
            if (!context.Get(yes))
            {
                context.Say(from is null ? "Nothing was changed. --yes mends the flipped bits." : "Nothing was changed. --yes gives them up.");
                return log.Journal.Remaining is null ? ExitCode.Done : ExitCode.VerificationFailed;
            }
            var kept = from is null ? await log.Journal.MendAsync() : await log.Journal.GiveUpAsync();
            context.Say($"Done. Kept as they were: {string.Join(", ", kept)}.");
            return from is not null || log.Journal.Remaining is null ? ExitCode.Done : ExitCode.VerificationFailed;
        });
    }

    /// <summary>Whoever gives entries up has read which.</summary>
    private static void Check(OperationLogInspection log, ulong entry)
    {
        ulong first = log.Journal.FirstLost;
        if (first == 0)
        {
            throw new CommandException(ExitCode.Conflict, log.Journal.Remaining is null
                ? "--give-up-from: the log has no damage that cannot be mended. Leave the option out."
                : "--give-up-from: nothing of the log would be left. Put back a copy of it.");
        }
        if (entry != first)
            throw CommandException.Usage(string.Create(CultureInfo.InvariantCulture, $"--give-up-from: the first entry that cannot be mended is {first}, not {entry}. Give that number."));
    }

    private static async Task<OperationLogInspection> OpenAsync(CommandContext context)
    {
        string directory = context.Get(Directory);
        if (!System.IO.Directory.Exists(directory))
            throw new CommandException(ExitCode.NotFound, $"There is no directory {directory}.");
        return await OperationLogInspection.OpenAsync(new RealDisk(directory), NullLogger.Instance);
    }
}
