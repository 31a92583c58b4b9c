using Microsoft.Extensions.Logging;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master;

/// <summary>What the master tells its operator. Ids 1xxx.</summary>
internal static partial class Log
{
    [LoggerMessage(1001, LogLevel.Information, "Master of cluster {Cluster} began epoch {Epoch} with {Files} files and {Chunks} chunks and listens on {Address}")]
    public static partial void Started(this ILogger logger, string cluster, ulong epoch, long files, long chunks, string address);

    [LoggerMessage(1002, LogLevel.Information, "Cluster {Cluster} was created")]
    public static partial void ClusterCreated(this ILogger logger, string cluster);

    [LoggerMessage(1003, LogLevel.Critical, "The master stops: {Reason}. What it acknowledged is in its operation log; find the cause and start it again")]
    public static partial void Failed(this ILogger logger, Exception failure, string reason);

    [LoggerMessage(1004, LogLevel.Warning, "A call of kind {Kind} came from {Peer}; a master does not serve it")]
    public static partial void CallNotServed(this ILogger logger, MessageKind kind, string peer);

    [LoggerMessage(1005, LogLevel.Information, "{Confirmed} of {Known} chunk servers confirmed that the master's operation log is whole")]
    public static partial void MasterConfirmed(this ILogger logger, int confirmed, int known);

    [LoggerMessage(1006, LogLevel.Error, "The operation log lacks what chunk server {Server} at {Address} has seen: {Lack}. The data directory is an older copy, has lost its last entries, or another master runs on a copy "
        + "of it. The master gives nothing away any more. Start the right one; or, if there is none any more, start this one with accept_lost_entries, which gives up what it lacks")]
    public static partial void LogIsOlder(this ILogger logger, ServerId server, string address, string lack);

    [LoggerMessage(1007, LogLevel.Error, "The operator accepted (accept_lost_entries) that the operation log lacks what chunk server {Server} at {Address} has seen: {Lack}. Given up is whatever other masters logged behind entry "
        + "{Last} of epoch {Before}. The master goes on in epoch {Epoch}; replicas of chunks that the log does not know are kept, and named as their servers report them")]
    public static partial void LostEntriesAccepted(this ILogger logger, ServerId server, string address, string lack, ulong before, ulong last, ulong epoch);

    [LoggerMessage(1101, LogLevel.Information, "Chunk server {Server} at {Address} joined the cluster")]
    public static partial void ServerAdmitted(this ILogger logger, ServerId server, string address);

    [LoggerMessage(1102, LogLevel.Information, "Chunk server {Server} at {Address} registered")]
    public static partial void ServerRegistered(this ILogger logger, ServerId server, string address);

    [LoggerMessage(1103, LogLevel.Error, "A chunk server at {Address} was refused: {Reason}")]
    public static partial void ServerRefused(this ILogger logger, string address, string reason);

    [LoggerMessage(1104, LogLevel.Warning, "Chunk server {Server} at {Address} was silent for {SilentMs} ms and counts as dead. Chunks in use go on without it; all others are ended and copied after {Grace}")]
    public static partial void ServerDied(this ILogger logger, ServerId server, string address, long silentMs, TimeSpan grace);

    [LoggerMessage(1105, LogLevel.Information, "Chunk server {Server} at {Address} is back after a silence")]
    public static partial void ServerRevived(this ILogger logger, ServerId server, string address);

    [LoggerMessage(1106, LogLevel.Information, "Chunk server {Server} reported {Replicas} replicas")]
    public static partial void ReportCompleted(this ILogger logger, ServerId server, int replicas);

    [LoggerMessage(1107, LogLevel.Warning, "The master was held up for {HeldUpMs} ms; no chunk server counts as silent for that time")]
    public static partial void HeldUp(this ILogger logger, long heldUpMs);

    [LoggerMessage(1201, LogLevel.Debug, "Chunk {Chunk} was added to file {File} at index {Index} with members {Members} and primary {Primary}")]
    public static partial void ChunkAdded(this ILogger logger, ChunkHandle chunk, FileId file, uint index, object members, ServerId primary);

    [LoggerMessage(1202, LogLevel.Warning, "The next chunk of file {File} cannot be made yet: {Reason}. The master tries again while somebody waits for it")]
    public static partial void ChunkNotMade(this ILogger logger, FileId file, string reason);

    [LoggerMessage(1203, LogLevel.Debug, "Chunk {Chunk} was sealed at {Length} bytes in version {Version}")]
    public static partial void ChunkSealed(this ILogger logger, ChunkHandle chunk, uint length, ulong version);

    [LoggerMessage(1204, LogLevel.Error, "Chunk server {Server} says that chunk {Chunk} was sealed at {Length} bytes; it was sealed at {Known}. The report was refused")]
    public static partial void SealContradicted(this ILogger logger, ServerId server, ChunkHandle chunk, uint length, uint known);

    [LoggerMessage(1205, LogLevel.Error, "Chunk server {Server} at {Address} has something else under the new handle {Chunk}: {Reason}. It is kept; the chunk is made under another handle")]
    public static partial void HandleIsTaken(this ILogger logger, ServerId server, string address, ChunkHandle chunk, string reason);

    [LoggerMessage(1301, LogLevel.Information, "View change of chunk {Chunk} began: {Reason}")]
    public static partial void ViewChangeBegan(this ILogger logger, ChunkHandle chunk, string reason);

    [LoggerMessage(1302, LogLevel.Information, "Chunk {Chunk} has version {Version}: members {Members}, primary {Primary}, seal {Seal}")]
    public static partial void Configured(this ILogger logger, ChunkHandle chunk, ulong version, object members, ServerId primary, bool seal);

    [LoggerMessage(1303, LogLevel.Warning, "Chunk {Chunk} is unavailable: {Reason}. The master tries again while somebody waits for it, and when a member comes back")]
    public static partial void ChunkUnavailable(this ILogger logger, ChunkHandle chunk, string reason);

    [LoggerMessage(1304, LogLevel.Warning, "Chunk server {Server} did not take over chunk {Chunk} in version {Version}: {Reason}. Another view change follows")]
    public static partial void GrantRefused(this ILogger logger, ServerId server, ChunkHandle chunk, ulong version, string reason);

    [LoggerMessage(1305, LogLevel.Warning, "The primary {Primary} of chunk {Chunk} accused {Member}: {Reason}. The chunk goes on without it")]
    public static partial void MemberAccused(this ILogger logger, ServerId primary, ChunkHandle chunk, ServerId member, string reason);

    [LoggerMessage(1306, LogLevel.Error, "Chunk {Chunk} goes on with what its members have on disk, because unclean recovery is allowed: acknowledged records may be missing")]
    public static partial void UncleanRecovery(this ILogger logger, ChunkHandle chunk);

    [LoggerMessage(1307, LogLevel.Warning, "An operator decided that chunk {Chunk} goes on, in version {Version}, with what chunk server {Server} at {Address} has of it: {Tail} bytes. What only others have is given up")]
    public static partial void OperatorDecided(this ILogger logger, ChunkHandle chunk, ulong version, ServerId server, string address, uint tail);

    [LoggerMessage(1401, LogLevel.Error, "Chunk server {Server} has a replica of chunk {Chunk} with {Length} bytes, and this master's log never had such a chunk. The replica is kept, and nobody uses it")]
    public static partial void ReplicaFromTheFuture(this ILogger logger, ServerId server, ChunkHandle chunk, uint length);

    [LoggerMessage(1408, LogLevel.Error, "The replica of chunk {Chunk} on chunk server {Server}, with {Length} bytes, is of another making of that chunk: it was made by another master. It is kept, and nobody uses it")]
    public static partial void ReplicaForeign(this ILogger logger, ServerId server, ChunkHandle chunk, uint length);

    [LoggerMessage(1402, LogLevel.Warning, "Chunk server {Server} has lost its replica of chunk {Chunk}")]
    public static partial void ReplicaLost(this ILogger logger, ServerId server, ChunkHandle chunk);

    [LoggerMessage(1403, LogLevel.Warning, "The replica of chunk {Chunk} on chunk server {Server} is damaged. It is replaced by a copy of another one")]
    public static partial void ReplicaDamaged(this ILogger logger, ChunkHandle chunk, ServerId server);

    [LoggerMessage(1404, LogLevel.Debug, "Chunk server {Server} was told to delete its replica of chunk {Chunk}")]
    public static partial void DeleteOrdered(this ILogger logger, ServerId server, ChunkHandle chunk);

    [LoggerMessage(1405, LogLevel.Information, "Chunk {Chunk} is being copied to chunk server {Server}: {Live} of {Wanted} replicas are there")]
    public static partial void CloneOrdered(this ILogger logger, ChunkHandle chunk, ServerId server, int live, int wanted);

    [LoggerMessage(1406, LogLevel.Warning, "Chunk server {Server} could not carry out command {Command} on chunk {Chunk}: {Reason}. It is tried again later")]
    public static partial void CommandFailed(this ILogger logger, ServerId server, ulong command, ChunkHandle chunk, string reason);

    [LoggerMessage(1420, LogLevel.Error, "Acknowledged records are missing from chunk {Chunk} of {Path}: the replica on chunk server {Server} at {Address} knows {Committed} bytes to be committed, more than the chunk has. The replica is kept for ever")]
    public static partial void LossProven(this ILogger logger, ChunkHandle chunk, string path, ServerId server, string address, uint committed);

    [LoggerMessage(1407, LogLevel.Warning, "No chunk server that is alive has a good replica of chunk {Chunk}: its records cannot be read until one comes back")]
    public static partial void NoReplicaLeft(this ILogger logger, ChunkHandle chunk);
}
