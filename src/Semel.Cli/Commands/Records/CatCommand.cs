using System.CommandLine;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary><c>semel cat PATH</c></summary>
internal static class CatCommand
{
    public static Command Create(VerbRunner run)
    {
        var paths = new Argument<string[]>("path") { Description = "Files.", Arity = ArgumentArity.OneOrMore };
        var from = ReadFlags.From();
        var raw = ReadFlags.Raw();
        var lengthPrefixed = ReadFlags.LengthPrefixed();
        return run.Runs(new Command("cat", "Write files' records to standard output, a line each.") { paths, from, raw, lengthPrefixed }, async context =>
        {
            var separation = ReadFlags.SeparationOf(context, raw, lengthPrefixed);
            await using var client = context.Connect();
            await using var output = new BufferedStream(context.Streams.Output, 256 * 1024);
            foreach (string path in context.Get(paths))
            {
                await foreach (var record in client.ReadRecordsAsync(CommandContext.Checked(path), new ReadOptions { From = context.Get(from) }, context.Cancellation))
                    ReadFlags.Write(output, record.Data.Span, separation);
            }
        });
    }
}
