using System.CommandLine;
using System.Globalization;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary><c>semel op status PATH WRITER SEQUENCE</c>: what became of an append.</summary>
internal static class OpCommand
{
    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "A file." };
        var writer = new Argument<string>("writer") { Description = "The writer's name." };
        var sequence = new Argument<long>("sequence") { Description = "The record's number in the writer's sequence, from 1." };
        sequence.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<long>() < 1)
                result.AddError($"Sequence {result.Tokens[0].Value} is not a number from 1 on.");
        });
        var look = new Option<bool>("--no-settle") { Description = "Only look: do not fence the writer when the record is not in the file." };
        var status = run.Runs(new Command("status", "Tell whether a record was appended: committed at this place, or aborted for ever (the writer is fenced then).") { path, writer, sequence, look }, async context =>
        {
            string file = context.Path(path);
            await using var client = context.Connect();
            var found = await client.GetOperationStatusAsync(file, context.Get(writer), (ulong)context.Get(sequence), settle: !context.Get(look), context.Cancellation);
            Write(context, file, context.Get(writer), found);
            if (found.Outcome == OperationOutcome.Aborted)
                throw new CommandException(ExitCode.NotFound, $"Sequence {found.Sequence} of writer '{context.Get(writer)}' is not in {file} and never will be under its operation id.");
            if (found.Outcome == OperationOutcome.InDoubt)
                throw new CommandException(ExitCode.OutcomeUnknown, $"Sequence {found.Sequence} of writer '{context.Get(writer)}' is not in {file} now. Leave out --no-settle to decide it, or repeat the append under the same name.");
        });
        return new Command("op", "Ask about single appends.") { status };
    }

    private static void Write(CommandContext context, string path, string name, OperationStatus status)
    {
        var record = status.Record;
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(new
            {
                path,
                writer = name,
                writer_id = status.WriterId,
                epoch = status.Epoch,
                sequence = status.Sequence,
                outcome = Word(status.Outcome),
                position = record?.Position.ToString(),
                time = record?.Time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture),
                length = record?.Data.Length,
                last_sequence = status.LastSequence,
                reason = status.Reason,
            }));
        }
        else
        {
            string where = record is { } r ? string.Create(CultureInfo.InvariantCulture, $" at {r.Position}, {r.Data.Length} bytes, {r.Time.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ}") : "";
            context.Streams.WriteLine($"{Word(status.Outcome)}{where}: {status.Reason}");
        }
    }

    private static string Word(OperationOutcome outcome) => outcome switch
    {
        OperationOutcome.Committed => "committed",
        OperationOutcome.Aborted => "aborted",
        _ => "in doubt",
    };
}
