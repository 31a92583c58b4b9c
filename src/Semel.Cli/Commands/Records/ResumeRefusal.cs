using Semel.Cli.Inputs;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary>
/// Words for an input that is not the one which <c>--resume</c> would go on with: what was found, and what to do. Nothing was appended when
/// they are said.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="writer">The writer's name.</param>
/// <param name="appended">Records that the writer has in the file.</param>
/// <param name="format">How the input is cut.</param>
internal sealed class ResumeRefusal(string path, string writer, ulong appended, RecordFormat format)
{
    private string Noun => format is RecordFormat.Lines ? "line" : "record";

    public CommandException EndsBefore(ulong records) => Conflict(FormattableString.Invariant(
        $"The writer '{writer}' has appended {appended:N0} records to {path}, this input has {records:N0}: it is another input, or was cut, rotated or emptied. {Remedy}"));

    public CommandException Differs(ulong number, ReadOnlySpan<byte> here, ReadOnlySpan<byte> there)
    {
        int difference = here.CommonPrefixLength(there);
        string both = $"in the file {Excerpt.At(there, difference)}, in the input {Excerpt.At(here, difference)}";
        if (format is RecordFormat.Lines && number == appended && difference == there.Length && difference > 0)
            return Conflict(FormattableString.Invariant(
                $"Line {number} of the input begins with the last record of the writer '{writer}' in {path} and goes on: {both}. It was half there when it was appended: the input ended in the middle of it. ")
                + "What is in the file cannot be changed. To append the whole line as a record of its own, and what follows it, give the rest to another writer: "
                + FormattableString.Invariant($"tail -n +{number} INPUT | semel append {path} --writer OTHER. With --complete-lines a last line without a newline is left for the next time."));
        return Conflict(FormattableString.Invariant(
            $"{(Noun is "line" ? "Line" : "Record")} {number} of the input is not record {number} of the {appended:N0} that the writer '{writer}' has appended to {path}: {both}. It is another input, or was rotated or changed. {Remedy}"));
    }

    private string Remedy => $"Append another input under another name (--writer); or, to append this one from its first {Noun} on under the same name, add --start-anew once: what is in the file stays there.";

    private static CommandException Conflict(string message) => new(ExitCode.Conflict, message + " Nothing was appended.");
}
