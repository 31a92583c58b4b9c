using System.Text;

namespace Semel.Cli.Terminal;

/// <summary>A few bytes of a record as they may stand in a message: printable, quoted, and those that matter.</summary>
internal static class Excerpt
{
    private const int Shown = 40;
    private const int Before = 8;

    /// <summary>Around the first byte in which two records differ; from the beginning when that is near.</summary>
    public static string At(ReadOnlySpan<byte> record, int difference)
    {
        int start = difference + Before < Shown ? 0 : difference - Before;
        var shown = record[start..Math.Min(record.Length, start + Shown)];
        bool goesOn = start + shown.Length < record.Length;
        string text = Encoding.UTF8.GetString(shown);
        // A character may have been cut in two at either end.
        text = start > 0 ? text.TrimStart('\uFFFD') : text;
        text = goesOn ? text.TrimEnd('\uFFFD') : text;
        var printable = text.Select(c => char.IsControl(c) ? '.' : c);
        return $"'{(start > 0 ? "..." : "")}{string.Concat(printable)}{(goesOn ? "..." : "")}' ({record.Length} bytes)";
    }
}
