using Semel.Master.Namespace;
using Semel.Protocol;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Master.Chunks;

/// <summary>
/// What the master knows of a chunk. Changed only by applied log entries, <see cref="Replicas"/> apart.
/// <code>
/// Open (version, members, primary) --Configured: higher version, fewer or the same members, or the one that an operator decided for--> Open
///      +------------------------------ChunkSealed: length--------------------------------------------------------------------------> Sealed   for ever
/// </code>
/// </summary>
internal sealed class Chunk
{
    private uint _reservedAhead;

    public Chunk(ChunkHandle handle, FileNode file, uint index, ServerSet members, ServerId primary, ulong creationId)
    {
        Invariant.Holds(members.Contains(primary));
        (Handle, File, Index, Members, Primary, CreationId) = (handle, file, index, members, primary, creationId);
        Version = 1;
        Replicas = members;
    }

    public ChunkHandle Handle { get; }
    public FileNode File { get; }
    public uint Index { get; }

    /// <summary>Of its making: replicas of another one are none of this chunk. 0: not known.</summary>
    public ulong CreationId { get; }

    /// <summary>Of the last logged configuration.</summary>
    public ulong Version { get; private set; }

    /// <summary>The highest version that anybody may have promised because of this master.</summary>
    public ulong Reserved => Version + _reservedAhead;

    public ServerSet Members { get; private set; }
    public ServerId Primary { get; private set; }

    /// <summary>Where the SEAL frame ends; 0 while the chunk is open.</summary>
    public uint SealedLength { get; private set; }

    /// <summary>Where the records of a sealed chunk end at the latest, and its SEAL frame begins.</summary>
    public uint RecordsEnd => SealedLength - Math.Min(SealedLength, FrameHeader.LengthOfFrame(FrameHeader.SealPayloadLength));

    /// <summary>
    /// Ballot of the SEAL frame: with the length it tells whether a log is the chunk's. 0: open, or sealed by an older version of Semel.
    /// </summary>
    public ulong SealBallot { get; private set; }

    /// <summary>An operator decided for a copy once: others may have had more, and nothing says whether that was acknowledged.</summary>
    public bool IsDecided { get; private set; }

    public bool IsSealed => SealedLength > 0;
    public bool IsGone => File.IsDeleted;

    /// <summary>
    /// Of a sealed chunk: servers that are believed to have all of it. Begins as the members that voted for the SEAL and follows the chunk
    /// servers' reports; not logged.
    /// </summary>
    public ServerSet Replicas { get; set; }

    /// <summary>Where to look for its records. When no replica is good, a damaged one may still have some.</summary>
    public ServerSet Holders => IsSealed && Replicas.Count > 0 ? Replicas : Members;

    public void Reserve(ulong version)
    {
        Invariant.Holds(!IsSealed);
        Invariant.Holds(version > Reserved);
        _reservedAhead = checked((uint)(version - Version));
    }

    public void Configure(ulong version, ServerSet members, ServerId primary, bool byOperator)
    {
        Invariant.Holds(!IsSealed);
        Invariant.Holds(version > Version);
        Invariant.Holds(version == Reserved);
        Invariant.Holds(members.Contains(primary));
        // Only then is everything that was ever decided on each member of the new configuration. An operator may have to give that up.
        Invariant.Holds(byOperator || members.All(Members.Contains));
        (Version, _reservedAhead, Members, Primary, Replicas) = (version, 0, members, primary, members);
        IsDecided |= byOperator;
    }

    public void Seal(ulong version, uint length, ulong sealBallot)
    {
        Invariant.Holds(!IsSealed);
        Invariant.Holds(version == Version);
        Invariant.Holds(length > 0);
        (SealedLength, SealBallot) = (length, sealBallot);
        Replicas = Members;
    }
}
