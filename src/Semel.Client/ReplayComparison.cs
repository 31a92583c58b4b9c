namespace Semel.Client;

/// <summary>Whether a record that was repeated is the one that the file has under its sequence.</summary>
public enum ReplayComparison
{
    /// <summary>There was nothing to compare: this incarnation of the writer appended the record itself.</summary>
    None = 0,

    /// <summary>
    /// Compared with the record in the file: the same bytes. (Other bytes are an <see cref="OperationIdReusedException"/>.)
    /// </summary>
    Equal = 1,

    /// <summary>
    /// Not compared: the file remembers the places of a writer's last 8 batches, and the record is older
    /// (<see cref="RecordWriter.ComparableFrom"/>).
    /// </summary>
    Forgotten = 2,

    /// <summary>
    /// Not compared: the file remembers where the record is, but no replica of that chunk serves it now, or not within
    /// <see cref="WriterOptions.AppendTimeout"/>.
    /// </summary>
    Unreadable = 3,
}
