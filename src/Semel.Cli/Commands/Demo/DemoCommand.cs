using System.CommandLine;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Demo;

/// <summary><c>semel demo</c>: what Semel is for, on this machine, in a quarter of a minute.</summary>
internal static class DemoCommand
{
    /// <summary>What was acknowledged and found is counted in memory, some 60 bytes for each record.</summary>
    private const long MostRecords = 10_000_000;

    public static Command Create(VerbRunner run)
    {
        var input = new Option<string?>("--input") { Description = "Append this file's lines. Default: generated log lines.", HelpName = "FILE" };
        var writers = Parsing.Number("--writers", 8, 1, 256, "How many writers append at the same time.");
        var records = Parsing.Number("--records", 200_000, 1, MostRecords, "How many lines to generate when there is no --input.");
        var command = new Command("demo",
            "Start a master and three chunk servers as processes, append from many writers to one file while a chunk server is killed and started again, "
            + "then read every replica back and say whether each record is there once.")
        {
            input, writers, records,
        };
        return run.Runs(command, async context =>
        {
            if (context.Get(input) is not null && context.IsGiven(records))
                throw CommandException.Usage("--records is for generated lines; with --input the file says how many there are. Leave one of them out.");
            var lines = context.Get(input) is { } file ? DemoInput.FromFile(file) : DemoInput.Generate((int)context.Get(records));
            if (lines.Count == 0)
                throw CommandException.Usage($"{context.Get(input)} has no lines.");
            return await new DemoRun(context, lines, (int)context.Get(writers)).RunAsync();
        });
    }
}
