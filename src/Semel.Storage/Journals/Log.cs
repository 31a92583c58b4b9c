using Microsoft.Extensions.Logging;

namespace Semel.Storage.Journals;

internal static partial class Log
{
    [LoggerMessage(5101, LogLevel.Warning,
        "Cut {Bytes} bytes from offset {Offset} of the journal file {File}: entry {NextEntry} was not written completely ({Fault}). After a crash that is how a write looks that was under way, "
        + "and nobody was told of it, unless it was whole for a moment before the crash. If nothing crashed before this start, the disk has lost the entry: replace it. The witness reaches to entry {Witnessed}")]
    public static partial void JournalTailCut(this ILogger logger, string file, long offset, long bytes, string fault, ulong nextEntry, ulong witnessed);

    [LoggerMessage(5102, LogLevel.Warning,
        "Removed the journal file {File}: it was being created when the server stopped and has no entries ({Fault}). A new one is created when it is needed")]
    public static partial void UnfinishedSegmentRemoved(this ILogger logger, string file, string fault);

    [LoggerMessage(5103, LogLevel.Information, "Opened the journal {Directory}: read {Entries} entries in {Segments} segments, the next is {NextEntry}")]
    public static partial void JournalOpened(this ILogger logger, string directory, ulong entries, int segments, ulong nextEntry);

    [LoggerMessage(5104, LogLevel.Information, "Deleted {Segments} segments of the journal {Directory}: it begins with entry {FirstEntry}")]
    public static partial void SegmentsDeleted(this ILogger logger, string directory, int segments, ulong firstEntry);

    [LoggerMessage(5105, LogLevel.Warning,
        "The journal's witness {File} cannot be read ({Fault}): this start cannot prove that no entry is missing at the journal's end, which is entry {LastEntry}. It is written anew")]
    public static partial void WitnessUnreadable(this ILogger logger, string file, string fault, ulong lastEntry);

    [LoggerMessage(5106, LogLevel.Warning,
        "The journal's witness {File} cannot be written: {Reason} The journal goes on without; damage to its last entries may look like a write that was under way. It is tried again")]
    public static partial void WitnessNotWritten(this ILogger logger, string file, string reason);

    [LoggerMessage(5107, LogLevel.Information,
        "The journal {Directory} has no witness: it is new, or of an older version of Semel, or the file was deleted. One is written; its last entry is {LastEntry}")]
    public static partial void WitnessCreated(this ILogger logger, string directory, ulong lastEntry);
}
