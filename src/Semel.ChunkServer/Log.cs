using Microsoft.Extensions.Logging;
using Semel.Protocol.Identity;

namespace Semel.ChunkServer;

/// <summary>What a chunk server tells its operator. Ids 2xxx.</summary>
internal static partial class Log
{
    [LoggerMessage(2001, LogLevel.Information, "Chunk server {Server} of cluster {Cluster} took {Replicas} replicas from its disk and listens on {Address}")]
    public static partial void Started(this ILogger logger, ServerId server, string cluster, int replicas, string address);

    [LoggerMessage(2002, LogLevel.Information, "Registered with master {Master} in master epoch {Epoch}")]
    public static partial void Registered(this ILogger logger, string master, ulong epoch);

    [LoggerMessage(2003, LogLevel.Warning, "Master {Master} cannot be reached: {Reason}. The chunk server keeps trying")]
    public static partial void MasterUnreachable(this ILogger logger, string master, string reason);

    [LoggerMessage(2004, LogLevel.Error, "Master {Master} refused this chunk server: {Reason}. It keeps asking, but somebody has to act")]
    public static partial void RegistrationRefused(this ILogger logger, string master, string reason);

    [LoggerMessage(2005, LogLevel.Error, "Replica of chunk {Chunk} cannot be opened and takes part in nothing; its files stay where they are: {Fault}")]
    public static partial void ReplicaUnreadable(this ILogger logger, ChunkHandle chunk, string fault);

    [LoggerMessage(2006, LogLevel.Warning, "Replica of chunk {Chunk} was cut to {Tail} bytes after a crash: {Reason}")]
    public static partial void TornTailCut(this ILogger logger, ChunkHandle chunk, uint tail, string reason);

    [LoggerMessage(2007, LogLevel.Error, "Replica of chunk {Chunk} is damaged: {Committed} bytes were durable once, {Tail} verify. The master repairs it from another replica")]
    public static partial void ReplicaDamaged(this ILogger logger, ChunkHandle chunk, uint committed, uint tail);

    [LoggerMessage(2030, LogLevel.Error, "What lay in the place of chunk {Chunk} is no replica, or none any more: {Reason}. It was moved to {Names} in the data directory, and the master makes another. Delete it when nobody needs it")]
    public static partial void ReplicaSetAside(this ILogger logger, ChunkHandle chunk, string reason, string names);

    [LoggerMessage(2031, LogLevel.Information, "{Count} files that are no replicas lie in {Directory} in the data directory. Delete them when nobody needs them")]
    public static partial void QuarantineHolds(this ILogger logger, int count, string directory);

    [LoggerMessage(2032, LogLevel.Warning, "One of the two copies of the metadata of chunk {Chunk} could not be read ({Fault}); the other one counts, with promised ballot {Promised}. They say the same after a clean stop or some seconds of rest; otherwise this may be the older one. It is written anew. If it happens again the disk is failing")]
    public static partial void MetadataSlotUnreadable(this ILogger logger, ChunkHandle chunk, string fault, Ballot promised);

    [LoggerMessage(2033, LogLevel.Error, "Replica of chunk {Chunk} cannot be opened now and takes part in nothing; its files stay where they are. Look at the disk and start the server again")]
    public static partial void ReplicaNotOpened(this ILogger logger, Exception failure, ChunkHandle chunk);

    [LoggerMessage(2008, LogLevel.Critical, "The chunk server stops: {Reason} Its replicas stay as they are; start it again when the cause is gone")]
    public static partial void Failed(this ILogger logger, Exception failure, string reason);

    [LoggerMessage(2010, LogLevel.Error, "The identity that the master gave cannot be kept: {Reason}. The chunk server takes no chunks until it can")]
    public static partial void IdentityNotKept(this ILogger logger, string reason);

    [LoggerMessage(2011, LogLevel.Error, "The data directory is an older copy of itself: it has generation {Generation}, it had {Known}. Its open replicas count for nothing until a primary has shown them its log")]
    public static partial void DirectoryIsOlder(this ILogger logger, ulong generation, ulong known);

    [LoggerMessage(2012, LogLevel.Error, "The generation of the data directory cannot be raised: {Reason}. It is tried again")]
    public static partial void GenerationNotRaised(this ILogger logger, string reason);

    [LoggerMessage(2014, LogLevel.Error, "Master {Master} is not served: {Reason}")]
    public static partial void MasterNotAccepted(this ILogger logger, string master, string reason);

    [LoggerMessage(2015, LogLevel.Warning, "The operator let a master go on whose log lacks entries: this server had served epoch {Known} up to entry {Position}, and serves epoch {Epoch} from now on")]
    public static partial void LossAccepted(this ILogger logger, ulong known, ulong position, ulong epoch);

    [LoggerMessage(2016, LogLevel.Error, "How long the master's log is cannot be remembered: {Reason}. It is tried again")]
    public static partial void PositionNotKept(this ILogger logger, string reason);

    [LoggerMessage(2017, LogLevel.Error, "The master wants chunk {Chunk} to be made, and something else is there under that handle ({What}). It was left as it is; the master takes another handle")]
    public static partial void HandleIsTaken(this ILogger logger, ChunkHandle chunk, string what);

    [LoggerMessage(2101, LogLevel.Information, "Recovery of chunk {Chunk} began in ballot {Ballot}: the log ends at {Tail}, {Committed} of it known committed")]
    public static partial void RecoveryBegan(this ILogger logger, ChunkHandle chunk, Ballot ballot, uint tail, uint committed);

    [LoggerMessage(2102, LogLevel.Information, "Primary of chunk {Chunk} became active in ballot {Ballot} with {Members} members at {Tail}")]
    public static partial void BecameActive(this ILogger logger, ChunkHandle chunk, Ballot ballot, int members, uint tail);

    [LoggerMessage(2103, LogLevel.Information, "Primary of chunk {Chunk} in ballot {Ballot} stepped down: {Reason}")]
    public static partial void SteppedDown(this ILogger logger, ChunkHandle chunk, Ballot ballot, string reason);

    [LoggerMessage(2104, LogLevel.Warning, "Chunk {Chunk} aborts what is in flight and goes on in ballot {Ballot}: cut from {Tail} to {Committed} because {Reason}. Writers repeat it")]
    public static partial void Aborted(this ILogger logger, ChunkHandle chunk, Ballot ballot, uint committed, uint tail, string reason);

    [LoggerMessage(2105, LogLevel.Warning, "Chunk {Chunk}: member {Member} was accused before the master: {Reason}. Appends wait until it answers or is replaced")]
    public static partial void MemberAccused(this ILogger logger, ChunkHandle chunk, ServerId member, string reason);

    [LoggerMessage(2106, LogLevel.Information, "Chunk {Chunk}: ballot {Ballot} shares {Common} bytes with this replica, the suffix up to {Tail} was cut")]
    public static partial void SuffixCut(this ILogger logger, ChunkHandle chunk, Ballot ballot, uint common, uint tail);

    [LoggerMessage(2107, LogLevel.Warning, "Chunk {Chunk}: frames of a PREPARE were refused: {Reason}. The primary sends them again or goes on without this replica")]
    public static partial void PrepareRefused(this ILogger logger, ChunkHandle chunk, string reason);

    [LoggerMessage(2108, LogLevel.Error, "Replica of chunk {Chunk} has failed and takes part in nothing more until the server is restarted")]
    public static partial void ReplicaFailed(this ILogger logger, Exception failure, ChunkHandle chunk);

    [LoggerMessage(2131, LogLevel.Error, "Chunk {Chunk}: the view {Ballot} has {Tail} bytes, and {Committed} were committed once. This replica takes no part in it and keeps what it has")]
    public static partial void ViewLacksCommitted(this ILogger logger, ChunkHandle chunk, Ballot ballot, uint tail, uint committed);

    [LoggerMessage(2132, LogLevel.Warning, "Chunk {Chunk}: there is no space to write down how far its log is durable: {Reason} All of it is; but the next start takes damage at its end for a torn write")]
    public static partial void NotWrittenDown(this ILogger logger, ChunkHandle chunk, string reason);

    [LoggerMessage(2110, LogLevel.Warning, "Chunk {Chunk}: a call of kind {Kind} could not be carried out: {Reason} The replica goes on when there is space")]
    public static partial void CallLacksSpace(this ILogger logger, ChunkHandle chunk, Protocol.Messages.MessageKind kind, string reason);

    [LoggerMessage(2112, LogLevel.Information, "Chunk {Chunk}: the file forgets {Count} idle writers to make room for new ones")]
    public static partial void WritersEvicted(this ILogger logger, ChunkHandle chunk, int count);

    [LoggerMessage(2111, LogLevel.Error, "Replica of chunk {Chunk} is damaged: {Fault}. The master repairs it from another replica")]
    public static partial void ReplicaRotten(this ILogger logger, ChunkHandle chunk, string fault);

    [LoggerMessage(2120, LogLevel.Error, "Chunk {Chunk}: an operator decided for this replica. It goes on with the {Tail} bytes that verify; {Committed} were known to be committed once")]
    public static partial void DamageGivenUp(this ILogger logger, ChunkHandle chunk, uint tail, uint committed);

    [LoggerMessage(2201, LogLevel.Information, "Replica of chunk {Chunk} was deleted")]
    public static partial void ReplicaDeleted(this ILogger logger, ChunkHandle chunk);

    [LoggerMessage(2202, LogLevel.Information, "Replica of chunk {Chunk} was copied from {Source}: {Length} bytes")]
    public static partial void ReplicaCloned(this ILogger logger, ChunkHandle chunk, string source, uint length);

    [LoggerMessage(2230, LogLevel.Error, "Replica of chunk {Chunk} knows {Committed} bytes to be committed and was to make room for a chunk below {Limit}: acknowledged records are missing elsewhere. It stays")]
    public static partial void LongerReplicaKept(this ILogger logger, ChunkHandle chunk, uint committed, uint limit);

    [LoggerMessage(2203, LogLevel.Warning, "Command {Command} failed: {Reason}. The master decides what comes next")]
    public static partial void CommandFailed(this ILogger logger, ulong command, string reason);

    [LoggerMessage(2204, LogLevel.Warning, "A call of kind {Kind} came from {Peer}; a chunk server does not serve it")]
    public static partial void CallNotServed(this ILogger logger, Protocol.Messages.MessageKind kind, string peer);
}
