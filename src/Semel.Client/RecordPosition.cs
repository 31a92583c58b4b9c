using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Semel.Client;

/// <summary>
/// The place of a record in its file: the chunk, the frame in the chunk, the record in the frame. It never changes, is the same on every replica, and
/// sorts as the file does. Its text (<c>chunk:frame:index</c>) is what a consumer keeps in order to go on later.
/// </summary>
/// <param name="ChunkIndex">Which chunk of the file, from 0.</param>
/// <param name="FrameOffset">Where the record's frame begins, in bytes from the start of the chunk.</param>
/// <param name="RecordIndex">Which record of the frame, from 0.</param>
/// <example><code>
/// await foreach (var record in client.ReadRecordsAsync("/logs/app", new ReadOptions { From = RecordPosition.Parse(saved) }))
/// {
///     Handle(record);
///     saved = record.Position.Next.ToString();
/// }
/// </code></example>
public readonly record struct RecordPosition(ulong ChunkIndex, uint FrameOffset, int RecordIndex) : IComparable<RecordPosition>
{
    /// <summary>Where a file begins.</summary>
    public static readonly RecordPosition Start;

    /// <summary>Stands for where the file ends at the time of reading; its text is <c>end</c>.</summary>
    public static readonly RecordPosition End = new(ulong.MaxValue, uint.MaxValue, int.MaxValue);

    /// <summary>Where to go on after this record. It need not be the place of a record: reading finds the next one.</summary>
    public RecordPosition Next => this == End ? End : this with { RecordIndex = RecordIndex + 1 };

    /// <summary>Before, at or after another place in the same file.</summary>
    public int CompareTo(RecordPosition other)
    {
        int order = ChunkIndex.CompareTo(other.ChunkIndex);
        if (order == 0)
            order = FrameOffset.CompareTo(other.FrameOffset);
        return order == 0 ? RecordIndex.CompareTo(other.RecordIndex) : order;
    }

    /// <summary>True when <paramref name="a"/> is before <paramref name="b"/>.</summary>
    public static bool operator <(RecordPosition a, RecordPosition b) => a.CompareTo(b) < 0;

    /// <summary>True when <paramref name="a"/> is after <paramref name="b"/>.</summary>
    public static bool operator >(RecordPosition a, RecordPosition b) => a.CompareTo(b) > 0;

    /// <summary>True when <paramref name="a"/> is not after <paramref name="b"/>.</summary>
    public static bool operator <=(RecordPosition a, RecordPosition b) => a.CompareTo(b) <= 0;

    /// <summary>True when <paramref name="a"/> is not before <paramref name="b"/>.</summary>
    public static bool operator >=(RecordPosition a, RecordPosition b) => a.CompareTo(b) >= 0;

    /// <summary><c>chunk:frame:index</c>, decimal; or <c>end</c>.</summary>
    public override string ToString() =>
        this == End ? "end" : string.Create(CultureInfo.InvariantCulture, $"{ChunkIndex}:{FrameOffset}:{RecordIndex}");

    /// <summary>Reads what <see cref="ToString"/> wrote; also <c>start</c>.</summary>
    /// <exception cref="FormatException">It is not a position.</exception>
    public static RecordPosition Parse(string text) =>
        TryParse(text, out var position)
            ? position
            : throw new FormatException($"'{text}' is not a position. A position looks like 3:4096:17 (chunk, offset of the frame, record in the frame), or is 'start' or 'end'.");

    /// <summary>Reads what <see cref="ToString"/> wrote; also <c>start</c>. False when it is not a position.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out RecordPosition position)
    {
        position = Start;
        if (text is null or "start")
            return text is not null;
        if (text == "end")
        {
            position = End;
            return true;
        }
        var parts = text.Split(':');
        if (parts.Length != 3
            || !ulong.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out ulong chunk)
            || !uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint frame)
            || !int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out int index))
            return false;
        position = new RecordPosition(chunk, frame, index);
        return true;
    }
}
