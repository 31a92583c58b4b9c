using Microsoft.Extensions.Logging;

namespace Semel.Storage.Journals;

internal static partial class Log
{
    [LoggerMessage(5101, LogLevel.Warning,
        "Cut {Bytes} bytes from offset {Offset} of the journal file {File}: a write that was never completed ({Fault}). The journal goes on with entry {NextEntry}")]
    public static partial void JournalTailCut(this ILogger logger, string file, long offset, long bytes, string fault, ulong nextEntry);

    [LoggerMessage(5102, LogLevel.Warning,
        "Removed the journal file {File}: it was being created when the server stopped and has no entries ({Fault}). A new one is created when it is needed")]
    public static partial void UnfinishedSegmentRemoved(this ILogger logger, string file, string fault);

    [LoggerMessage(5103, LogLevel.Information, "Opened the journal {Directory}: read {Entries} entries in {Segments} segments, the next is {NextEntry}")]
    public static partial void JournalOpened(this ILogger logger, string directory, ulong entries, int segments, ulong nextEntry);

    [LoggerMessage(5104, LogLevel.Information, "Deleted {Segments} segments of the journal {Directory}: it begins with entry {FirstEntry}")]
    public static partial void SegmentsDeleted(this ILogger logger, string directory, int segments, ulong firstEntry);
}
