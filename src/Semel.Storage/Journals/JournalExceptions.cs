namespace Semel.Storage.Journals;

/// <summary>
/// The journal has damage that no crash explains: entries that had been durable cannot be read. Opening refuses, and changes nothing.
/// </summary>
public sealed class JournalCorruptException : IOException
{
    internal JournalCorruptException(JournalDamage damage)
        : base($"{damage} Nothing was changed. 'semel log inspect' on the data directory says what there is and what can be done. "
            + "Put back a copy of the file as it was last, and start again. Do not delete the file: the entries from there on would be lost.")
    {
        Damage = damage;
    }

    /// <summary>The damaged file, relative to the disk.</summary>
    public string File => Damage.File;

    /// <summary>Where in the file the damage begins, in bytes.</summary>
    public long Offset => Damage.Offset;

    internal JournalDamage Damage { get; }
}

/// <summary>
/// A write or a flush of the journal failed, so nobody knows what of the last entries is durable. The journal takes no more; opening it
/// again finds out.
/// </summary>
public sealed class JournalFailedException(string message, Exception cause) : IOException(message, cause);
