namespace Semel.Storage.Journals;

/// <summary>
/// The journal has damage that no crash explains: entries that had been durable cannot be read. Opening refuses, and changes nothing.
/// </summary>
public sealed class JournalCorruptException(string file, long offset, string fault)
    : IOException($"The journal file {file} is damaged at offset {offset}: {fault}. Nothing was changed. "
        + "Put back a copy of the file, or of the whole directory, and start again. Do not delete the file: the entries from there on would be lost.")
{
    /// <summary>The damaged file, relative to the disk.</summary>
    public string File { get; } = file;

    /// <summary>Where in the file the damage begins, in bytes.</summary>
    public long Offset { get; } = offset;
}

/// <summary>
/// A write or a flush of the journal failed, so nobody knows what of the last entries is durable. The journal takes no more; opening it
/// again finds out.
/// </summary>
public sealed class JournalFailedException(string message, Exception cause) : IOException(message, cause);
