namespace Semel.Client;

/// <summary>What to read of a file.</summary>
public sealed class ReadOptions
{
    /// <summary>
    /// Where to begin: <see cref="RecordPosition.Start"/> (default), <see cref="RecordPosition.End"/>, a record's position (that record comes first), or
    /// its <see cref="RecordPosition.Next"/>.
    /// </summary>
    public RecordPosition From { get; set; } = RecordPosition.Start;

    /// <summary>
    /// True: after the last record wait for more, through roll-overs, until cancelled. False (default): end where the file ends when the reader gets there.
    /// </summary>
    public bool Follow { get; set; }
}
