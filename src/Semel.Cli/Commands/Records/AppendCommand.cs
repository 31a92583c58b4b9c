using System.CommandLine;
using Semel.Cli.Inputs;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary><c>semel append PATH &lt; input</c></summary>
internal static class AppendCommand
{
    /// <summary>The line at the end of <c>--json</c>.</summary>
    internal sealed record Summary(
        string Path, string? Writer, uint Epoch, long Records, ulong? FirstSequence, ulong? LastSequence, long Bytes, double Seconds,
        long Compared, long NotCompared);

    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "The file to append to." };
        var writer = new Option<string?>("--writer") { Description = "A stable name of the writer. Default: a new one each time.", HelpName = "NAME" };
        var resume = new Option<bool>("--resume")
        {
            Description = "Number the records from 1 and skip those that the writer has appended already: repeating an interrupted import appends each record once. An input that is not the same is refused.",
        };
        var atLeastOnce = new Option<bool>("--at-least-once") { Description = "Without sequence numbers: a record may get into the file twice when answers are lost." };
        var anew = new Option<bool>("--start-anew") { Description = "Begin again with sequence 1, as a writer that never was: for another input under the same name. What it has appended stays." };
        var create = new Option<bool>("--create") { Description = "Create the file, and directories on the way, if it is not there." };
        var replicas = Parsing.OptionalNumber("--replicas", 1, 16, "With --create: copies of each chunk. Default: the cluster's.");
        var durability = Parsing.Choice("--durability", FileDurability.Group, "With --create: when an acknowledged record is safe.");
        var lengthPrefixed = new Option<bool>("--length-prefixed") { Description = "Before each record stand four bytes of length, little endian." };
        var whole = new Option<bool>("--whole") { Description = "All of the input is one record." };
        var completeLines = new Option<bool>("--complete-lines") { Description = "Leave a last line that has no newline for the next time: it may be still being written." };
        var command = new Command("append", "Append records from standard input, a line each.")
        {
            path, writer, resume, anew, atLeastOnce, create, replicas, durability, lengthPrefixed, whole, completeLines,
        };
        return run.Runs(command, async context =>
        {
            string file = context.Path(path);
            string? name = context.Get(writer);
            if (context.Get(resume) && name is null)
                throw CommandException.Usage("--resume needs --writer NAME: the cluster knows by the name what has been appended.");
            if (context.Get(anew) && name is null)
                throw CommandException.Usage("--start-anew needs --writer NAME: a writer without a name is always a new one.");
            if (context.Get(atLeastOnce) && name is not null)
                throw CommandException.Usage("--at-least-once has no use for --writer: the cluster keeps no record of such appends. Leave one of them out.");
            if (context.Get(lengthPrefixed) && context.Get(whole))
                throw CommandException.Usage("--length-prefixed and --whole contradict each other. Choose one.");
            if (context.Get(completeLines) && (context.Get(lengthPrefixed) || context.Get(whole)))
                throw CommandException.Usage("--complete-lines is for lines. Leave it out with --length-prefixed and --whole.");
            var format = context.Get(whole) ? RecordFormat.Whole : context.Get(lengthPrefixed) ? RecordFormat.LengthPrefixed : RecordFormat.Lines;

            await using var client = context.Connect();
            if (context.Get(create))
                await EnsureFileAsync(client, file, (int)(context.Get(replicas) ?? 0), context.Get(durability), context.Cancellation);
            else if (context.IsGiven(replicas) || context.IsGiven(durability))
                throw CommandException.Usage("--replicas and --durability are for a file that --create makes. Add --create or leave them out.");
            await using var appender = await client.OpenWriterAsync(file, new WriterOptions
            {
                Name = name,
                StartAnew = context.Get(anew),
                Delivery = context.Get(atLeastOnce) ? Delivery.AtLeastOnce : Delivery.ExactlyOnce,
                AppendTimeout = context.Timeout,
            }, context.Cancellation);
            var input = new RecordInput(context.Streams.Input, format, appender.MaxRecordBytes, context.Get(completeLines));
            var import = new Import(context, appender, input, context.Get(resume) ? new ResumeRefusal(file, appender.Name, appender.LastSequence, format) : null);
            await import.RunAsync();
            import.SayWhatIsSpecial(context.Get(completeLines));
            context.Streams.WriteLine(context.Json ? JsonLine.Of(import.SummaryOf(file)) : import.TextOf(file));
        });
    }

    /// <summary>A file that is there stays as it is.</summary>
    private static async Task EnsureFileAsync(SemelClient client, string file, int replicas, FileDurability durability, CancellationToken cancellation)
    {
        try
        {
            await client.StatAsync(file, cancellation);
        }
        catch (PathNotFoundException)
        {
            await client.CreateAsync(file, new CreateOptions { Replicas = replicas, Durability = durability, CreateParents = true, OpenIfExists = true }, cancellation);
        }
    }
}
