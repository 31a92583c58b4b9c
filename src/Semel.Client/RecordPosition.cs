using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Semel.Client;

/// <summary>
/// The place of a record: the file, the chunk in it, the frame in the chunk, the record in the frame. It never changes, is the same on
/// every replica, and sorts as the file does. Its text (<c>file-chunk:frame:index</c>) is what a consumer keeps in order to go on later.
/// </summary>
/// <remarks>
/// A file that was deleted and made anew under its name is another file: a position of the old one is refused with a
/// <see cref="PositionOfAnotherFileException"/>, also where there happens to be a record at the same place.
/// </remarks>
/// <param name="ChunkIndex">Which chunk of the file, from 0.</param>
/// <param name="FrameOffset">Where the record's frame begins, in bytes from the start of the chunk.</param>
/// <param name="RecordIndex">Which record of the frame, from 0.</param>
/// <param name="FileId">
/// <see cref="FileStatus.FileId"/>. 0: the position does not say which file it is of (a text of three numbers, as older versions wrote it),
/// and nobody can check that.
/// </param>
/// <example><code>
/// await foreach (var record in client.ReadRecordsAsync("/logs/app", new ReadOptions { From = RecordPosition.Parse(saved) }))
/// {
///     Handle(record);
///     saved = record.Position.Next.ToString();
/// }
/// </code></example>
public readonly record struct RecordPosition(ulong ChunkIndex, uint FrameOffset, int RecordIndex, ulong FileId = 0) : IComparable<RecordPosition>
{
    /// <summary>Where a file begins.</summary>
    public static readonly RecordPosition Start;

    /// <summary>Stands for where the file ends at the time of reading; its text is <c>end</c>.</summary>
    public static readonly RecordPosition End = new(ulong.MaxValue, uint.MaxValue, int.MaxValue);

    /// <summary>Where to go on after this record. It need not be the place of a record: reading finds the next one.</summary>
    public RecordPosition Next => this == End ? End : this with { RecordIndex = RecordIndex + 1 };

    /// <summary>Before, at or after another place in the same file; which file is not compared.</summary>
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

    /// <summary><c>file-chunk:frame:index</c>, decimal, without <c>file-</c> when <see cref="FileId"/> is 0; or <c>end</c>.</summary>
    public override string ToString() => this == End ? "end"
        : FileId == 0 ? string.Create(CultureInfo.InvariantCulture, $"{ChunkIndex}:{FrameOffset}:{RecordIndex}")
        : string.Create(CultureInfo.InvariantCulture, $"{FileId}-{ChunkIndex}:{FrameOffset}:{RecordIndex}");

    /// <summary>Reads what <see cref="ToString"/> wrote; also <c>start</c>, and three numbers without a file.</summary>
    /// <exception cref="FormatException">It is not a position.</exception>
    public static RecordPosition Parse(string text) =>
        TryParse(text, out var position)
            ? position
            : throw new FormatException($"'{text}' is not a position. A position looks like 12-3:4096:17 (file, chunk, offset of the frame, record in the frame), or is 'start' or 'end'.");

    /// <summary>As <see cref="Parse"/>. False when it is not a position.</summary>
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
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        ulong file = 0;
        if (dash >= 0 && (!ulong.TryParse(text.AsSpan(0, dash), NumberStyles.None, CultureInfo.InvariantCulture, out file) || file == 0))
            return false;
        var parts = text[(dash + 1)..].Split(':');
        if (parts.Length != 3
            || !ulong.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out ulong chunk)
            || !uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint frame)
            || !int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out int index))
            return false;
        position = new RecordPosition(chunk, frame, index, file);
        return true;
    }
}
