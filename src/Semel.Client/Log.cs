using Microsoft.Extensions.Logging;
using Semel.Protocol.Messages;

namespace Semel.Client;

/// <summary>Events 3000 to 3999. 30xx cluster, 31xx appending, 32xx reading.</summary>
internal static partial class Log
{
    [LoggerMessage(3001, LogLevel.Warning, "The master at {Master} did not answer {Kind}: {Reason}. The client keeps asking until the operation's time is over")]
    public static partial void MasterDoesNotAnswer(this ILogger logger, string master, MessageKind kind, string reason);

    [LoggerMessage(3101, LogLevel.Debug, "Writer {Writer} epoch {Epoch} opened on {Path}: it goes on after sequence {LastSequence}")]
    public static partial void WriterOpened(this ILogger logger, ulong writer, uint epoch, string path, ulong lastSequence);

    [LoggerMessage(3102, LogLevel.Debug, "Writer {Writer} on {Path} got {Reason} from the primary of chunk {Chunk}. It sends everything unacknowledged again, with the same ids")]
    public static partial void AppendsSentAgain(this ILogger logger, ulong writer, string path, string reason, string chunk);

    [LoggerMessage(3103, LogLevel.Warning, "Writer {Writer} on {Path} has no primary after {Attempts} attempts: {Reason}. It keeps trying")]
    public static partial void NoPrimary(this ILogger logger, ulong writer, string path, int attempts, string reason);

    [LoggerMessage(3104, LogLevel.Error, "Writer {Writer} on {Path} ended: {Reason}")]
    public static partial void WriterEnded(this ILogger logger, ulong writer, string path, string reason);

    [LoggerMessage(3105, LogLevel.Warning, "Writer {Writer} on {Path} was closed with {Bytes} bytes unacknowledged. They are in doubt; opening the writer again settles them")]
    public static partial void ClosedInDoubt(this ILogger logger, ulong writer, string path, long bytes);

    [LoggerMessage(3106, LogLevel.Debug, "Writer {Writer} on {Path} was closed")]
    public static partial void WriterClosed(this ILogger logger, ulong writer, string path);

    [LoggerMessage(3107, LogLevel.Debug, "Writer {Writer} on {Path} was not retired: {Reason}. The file forgets it when it needs the room")]
    public static partial void WriterNotRetired(this ILogger logger, ulong writer, string path, string reason);

    [LoggerMessage(3108, LogLevel.Warning, "Writer {Writer} on {Path} repeats records of chunk {ChunkIndex}, from sequence {First} on, which cannot be read now: {Reason}. They are not compared")]
    public static partial void NotCompared(this ILogger logger, ulong writer, string path, ulong chunkIndex, ulong first, string reason);

    [LoggerMessage(3201, LogLevel.Warning, "Replica {Server} of chunk {Chunk} sent bytes that do not verify: {Fault}. The reader asks another replica")]
    public static partial void ReplicaCorrupt(this ILogger logger, string server, string chunk, string fault);

    [LoggerMessage(3202, LogLevel.Debug, "Replica {Server} of chunk {Chunk} did not serve: {Reason}. The reader asks another replica")]
    public static partial void ReplicaDidNotServe(this ILogger logger, string server, string chunk, string reason);
}
