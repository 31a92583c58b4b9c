using Semel.Master.Chunks;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Garbage;

/// <summary>What the master makes of one replica that a chunk server reported.</summary>
internal enum ReplicaVerdict
{
    /// <summary>Belongs to an open chunk, or to a chunk that is being made; nothing to do.</summary>
    InUse = 1,

    /// <summary>Has all of a sealed chunk.</summary>
    Good = 2,

    /// <summary>A member of a sealed chunk, or another replica that ends in its SEAL, that does not know yet that it is sealed.</summary>
    Unconfirmed = 3,

    /// <summary>A member's replica that is damaged or not there: the server does not count any more.</summary>
    Lost = 4,

    /// <summary>The chunk does not exist any more, or never came to be.</summary>
    Garbage = 5,

    /// <summary>The chunk went on without this replica. It may still be the best that is left if all others are lost.</summary>
    Outdated = 6,

    /// <summary>The chunk was made without this replica; it never took part in anything.</summary>
    NeverUsed = 8,

    /// <summary>
    /// It knows frames to be committed that its sealed chunk does not have: the file lacks acknowledged records, and this replica may have
    /// them.
    /// </summary>
    ProvesLoss = 10,

    /// <summary>
    /// The log never had such a chunk, and yet it was in use, or its epoch was not this log's. Nothing may be concluded from that but that
    /// the master has forgotten something.
    /// </summary>
    FromTheFuture = 7,

    /// <summary>Somebody else's: the chunk of this handle was made in another making. Kept, and never used.</summary>
    Foreign = 9,
}

/// <summary>The rules for replicas. Nothing is deleted that may hold a committed record which the chunk does not have.</summary>
internal static class ReplicaJudge
{
    /// <param name="chunk">Null: the master has no such chunk.</param>
    /// <param name="isBeingMade">Its chunk may come to be.</param>
    /// <param name="wasAdded">The log once had the chunk: there is none now because its file was deleted.</param>
    /// <param name="mayBeLeftover">
    /// The handle was given away by this log, and only a chunk that is logged is ever used: an unused replica is left over from a making
    /// that failed.
    /// </param>
    /// <param name="server">Who reports.</param>
    /// <param name="report">What it says of its replica.</param>
    public static ReplicaVerdict Judge(Chunk? chunk, bool isBeingMade, bool wasAdded, bool mayBeLeftover, ServerId server, ChunkReport report)
    {
        if (chunk is null)
        {
            return isBeingMade || report.Gone ? ReplicaVerdict.InUse
                : wasAdded || (mayBeLeftover && report is { LastView: 0, Tail: 0 }) ? ReplicaVerdict.Garbage : ReplicaVerdict.FromTheFuture;
        }
        if (!report.Gone && report.CreationId != 0 && chunk.CreationId != 0 && report.CreationId != chunk.CreationId)
            return ReplicaVerdict.Foreign;
        bool isMember = chunk.Members.Contains(server);
        if (chunk.IsSealed && !report.Gone && KnowsMore(chunk, report))
            return ReplicaVerdict.ProvesLoss;
        if (report.Gone || report.Damaged)
            return isMember || chunk.IsSealed ? ReplicaVerdict.Lost : ReplicaVerdict.InUse;
        // Members only ever get fewer: who is none never becomes one again.
        if (!isMember && report.LastView == 0)
            return ReplicaVerdict.NeverUsed;
        if (!chunk.IsSealed)
            return isMember ? ReplicaVerdict.InUse : ReplicaVerdict.Outdated;
        // A committed SEAL says that the log never changes again, in whichever version it was committed.
        if (report.Sealed && report.Tail == chunk.SealedLength)
            return ReplicaVerdict.Good;
        // It has forgotten what it voted for, and there is no primary any more that would show it.
        if (isMember && report.Suspect && report.Tail < chunk.SealedLength)
            return ReplicaVerdict.Lost;
        // The report may be older than the SEAL; a member voted for all of the chunk. A former one may have been left out after it held the
        // last frame.
        return isMember || EndsAsTheChunk(chunk, report) ? ReplicaVerdict.Unconfirmed : ReplicaVerdict.Outdated;
    }

    /// <summary>
    /// The replica knows frames to be committed that the sealed chunk does not have. The SEAL is a frame of the chunk and no record: what
    /// ends within it, or at the same length and in something else, is more.
    /// </summary>
    public static bool KnowsMore(Chunk chunk, ChunkReport report)
    {
        // Of a damaged file of which nothing verifies not even what it says is believed: it may be another chunk's.
        uint once = Math.Max(report.Committed, report.Tail == 0 ? 0 : report.OnceCommitted);
        if (once <= chunk.RecordsEnd)
            return false;
        // A replica that had all of the chunk and rotted cannot show its SEAL any more.
        return once != chunk.SealedLength || (!report.Damaged && !(report.Tail == chunk.SealedLength && (report.Sealed || report.EndsInSeal)));
    }

    /// <summary>The same ballot sequenced the SEAL at the same offset: it is the same frame, and all before it are the same.</summary>
    private static bool EndsAsTheChunk(Chunk chunk, ChunkReport report) =>
        report.EndsInSeal && report.Tail == chunk.SealedLength && report.SealBallot != 0 && report.SealBallot == chunk.SealBallot;
}
