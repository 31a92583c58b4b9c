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

    /// <summary>A member of a sealed chunk that does not know yet that it is sealed.</summary>
    Unconfirmed = 3,

    /// <summary>A member's replica that is damaged or not there: the server does not count any more.</summary>
    Lost = 4,

    /// <summary>The chunk does not exist any more, or never came to be.</summary>
    Garbage = 5,

    /// <summary>The chunk went on without this replica.</summary>
    Outdated = 6,

    /// <summary>The master has never given this handle away. Nothing may be concluded from that but that the master has forgotten something.</summary>
    FromTheFuture = 7,
}

/// <summary>The rules for replicas. Nothing is deleted that may hold a record which a member of the chunk does not hold.</summary>
internal static class ReplicaJudge
{
    /// <param name="chunk">Null: the master has no such chunk.</param>
    /// <param name="isBeingMade">Its chunk may come to be.</param>
    /// <param name="handlesEnd">Handles from here on were never given away.</param>
    /// <param name="viewChangeRuns">The chunk's configuration is about to change.</param>
    /// <param name="server">Who reports.</param>
    public static ReplicaVerdict Judge(Chunk? chunk, bool isBeingMade, ulong handlesEnd, bool viewChangeRuns, ServerId server, ChunkReport report)
    {
        if (chunk is null)
            return isBeingMade || report.Gone ? ReplicaVerdict.InUse : report.Handle >= handlesEnd ? ReplicaVerdict.FromTheFuture : ReplicaVerdict.Garbage;
        bool isMember = chunk.Members.Contains(server);
        if (!chunk.IsSealed)
        {
            if (isMember)
                return report.Gone || report.Damaged ? ReplicaVerdict.Lost : ReplicaVerdict.InUse;
            // Members only ever get fewer, so it never becomes one again; but while the members are about to change, nobody is told to delete.
            return report.Gone || viewChangeRuns || new Ballot(report.Promised).Version >= chunk.Version ? ReplicaVerdict.InUse : ReplicaVerdict.Outdated;
        }
        if (report.Gone || report.Damaged)
            return ReplicaVerdict.Lost;
        // A committed SEAL says that the log never changes again, in whichever version it was committed.
        if (report.Sealed && report.Tail == chunk.SealedLength)
            return ReplicaVerdict.Good;
        // The report may be older than the SEAL; a member voted for all of the chunk.
        return isMember ? ReplicaVerdict.Unconfirmed : ReplicaVerdict.Outdated;
    }
}
