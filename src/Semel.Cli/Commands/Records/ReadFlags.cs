using System.Buffers.Binary;
using System.CommandLine;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary>What stands between records when they are written out.</summary>
internal enum Separation
{
    /// <summary>A newline after each record: what <c>append</c> takes by default.</summary>
    Lines,

    /// <summary>Nothing: the bytes as they are.</summary>
    Raw,

    /// <summary>Four bytes of length, little endian, before each record.</summary>
    LengthPrefixed,
}

/// <summary>Options that the reading verbs share.</summary>
internal static class ReadFlags
{
    public static Option<RecordPosition> From() => new("--from")
    {
        Description = "Begin at this position: FILE-CHUNK:FRAME:INDEX as 'semel records' prints it, 'start' or 'end'.",
        HelpName = "POSITION",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!RecordPosition.TryParse(text, out var position))
                result.AddError($"--from: '{text}' is not a position. A position looks like 12-3:4096:17, or is 'start' or 'end'.");
            return position;
        },
    };

    public static Option<bool> Raw() => new("--raw") { Description = "Write the records' bytes and nothing between them." };

    public static Option<bool> LengthPrefixed() => new("--length-prefixed") { Description = "Write four bytes of length, little endian, before each record." };

    public static Separation SeparationOf(CommandContext context, Option<bool> raw, Option<bool> lengthPrefixed)
    {
        if (context.Get(raw) && context.Get(lengthPrefixed))
            throw CommandException.Usage("--raw and --length-prefixed contradict each other. Choose one.");
        return context.Get(raw) ? Separation.Raw : context.Get(lengthPrefixed) ? Separation.LengthPrefixed : Separation.Lines;
    }

    public static void Write(Stream output, ReadOnlySpan<byte> record, Separation separation)
    {
        if (separation is Separation.LengthPrefixed)
        {
            Span<byte> length = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(length, (uint)record.Length);
            output.Write(length);
        }
        output.Write(record);
        if (separation is Separation.Lines)
            output.WriteByte((byte)'\n');
    }
}
