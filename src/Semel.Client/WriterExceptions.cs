namespace Semel.Client;

/// <summary>Base of what ends a writer. The writer takes nothing more; open a new one to go on at its <see cref="RecordWriter.LastSequence"/>.</summary>
public abstract class WriterException : SemelException
{
    private protected WriterException(string message) : base(message) { }
}

/// <summary>
/// A newer incarnation of the writer was opened under the same name, and this one will never append again. What to do: let only one process use a name,
/// or open the writer again if this process is the one that should have it.
/// </summary>
public sealed class WriterFencedException : WriterException
{
    internal WriterFencedException(string message) : base(message) { }
}

/// <summary>
/// The file has forgotten how far the writer got: it was idle for long, and the file needed its room for others. Nothing was appended. What to do: ask for the
/// operations that are in doubt (<see cref="SemelClient.GetOperationStatusAsync"/>), then go on under another name, or under this one with
/// <see cref="WriterOptions.StartAnewIfExpired"/>.
/// </summary>
public sealed class WriterExpiredException : WriterException
{
    internal WriterExpiredException(string message) : base(message) { }
}

/// <summary>
/// The sequence was used before for other bytes: the source is not the one that was appended before, or was changed since. Nothing of it
/// was appended under this sequence. What to do: give each record its own sequence, and a retry the same bytes; append another source under
/// another writer name, or begin anew (<see cref="WriterOptions.StartAnew"/>).
/// </summary>
public sealed class OperationIdReusedException : WriterException
{
    internal OperationIdReusedException(string message) : base(message) { }

    internal OperationIdReusedException(string message, ulong sequence, ReadOnlyMemory<byte> recordInFile) : base(message)
    {
        Sequence = sequence;
        RecordInFile = recordInFile;
    }

    /// <summary>The sequence whose record was compared and differs; null when the primary refused a batch.</summary>
    public ulong? Sequence { get; }

    /// <summary>The record that the file has under <see cref="Sequence"/>; null when the primary refused a batch.</summary>
    public ReadOnlyMemory<byte>? RecordInFile { get; }
}

/// <summary>The file has as many writers as it may have. What to do: reuse writer names instead of making new ones, or write to more files.</summary>
public sealed class TooManyWritersException : WriterException
{
    internal TooManyWritersException(string message) : base(message) { }
}

/// <summary>The file knows no writer of this name. What to do: check the name; a writer without a name is forgotten once it is closed with nothing in doubt.</summary>
public sealed class WriterNotFoundException : SemelException
{
    internal WriterNotFoundException(string message) : base(message) { }
}

/// <summary>The primary refused a batch as malformed; a bug, or a client and a server that do not fit. The message has its words.</summary>
public sealed class AppendRefusedException : WriterException
{
    internal AppendRefusedException(string message) : base(message) { }
}

/// <summary>The cluster no longer has records of this writer that it had acknowledged: all replicas of a chunk were lost or replaced by older ones.</summary>
public sealed class AcknowledgedRecordsLostException : WriterException
{
    internal AcknowledgedRecordsLostException(string message) : base(message) { }
}

/// <summary>The writer was disposed before the record was sent. The record is not in the file and never will be.</summary>
public sealed class WriterClosedException : WriterException
{
    internal WriterClosedException(string message) : base(message) { }
}
