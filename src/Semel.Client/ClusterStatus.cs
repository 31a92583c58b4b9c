namespace Semel.Client;

/// <summary>The cluster as its master sees it.</summary>
public sealed record ClusterStatus
{
    /// <summary>Names the cluster for ever.</summary>
    public required string ClusterId { get; init; }

    /// <summary>Grows each time that a master starts.</summary>
    public ulong MasterEpoch { get; init; }

    /// <summary>Files in the namespace.</summary>
    public long Files { get; init; }

    /// <summary>Directories in the namespace.</summary>
    public long Directories { get; init; }

    /// <summary>Chunks of all files.</summary>
    public long Chunks { get; init; }

    /// <summary>Chunks that have fewer replicas than they should.</summary>
    public long UnderReplicated { get; init; }

    /// <summary>Bytes that a chunk of a new file may hold.</summary>
    public long ChunkCapacity { get; init; }

    /// <summary>Replicas of a new file's chunks, unless the creator says otherwise.</summary>
    public int Replicas { get; init; }

    /// <summary>True while the master still waits for chunk servers to report after its start.</summary>
    public bool IsRecovering { get; init; }

    /// <summary>
    /// Null, or why the master changes nothing and makes no chunks at the moment: it waits for its chunk servers' word, or they have seen
    /// what its log lacks.
    /// </summary>
    public string? Withholds { get; init; }

    /// <summary>
    /// Chunks of which a replica knows more bytes to be committed than they have: records that were acknowledged are missing from them.
    /// Those replicas are kept.
    /// </summary>
    public long LossProven { get; init; }

    /// <summary>
    /// Open chunks that cannot take records for the moment: too few of their members are there. <c>semel chunk recover</c> shows what is
    /// left of one.
    /// </summary>
    public long Unavailable { get; init; }

    /// <summary>Some of them, and why: <c>HANDLE of PATH: reason</c>.</summary>
    public IReadOnlyList<string> UnavailableChunks { get; init; } = [];

    /// <summary>Every chunk server that ever registered.</summary>
    public required IReadOnlyList<ChunkServerStatus> ChunkServers { get; init; }
}

/// <summary>A chunk server as its master sees it.</summary>
public sealed record ChunkServerStatus
{
    /// <summary>Names the server for ever: 16 hexadecimal digits.</summary>
    public required string Id { get; init; }

    /// <summary>Where it takes calls.</summary>
    public required string Address { get; init; }

    /// <summary>True while its heartbeats come.</summary>
    public bool IsAlive { get; init; }

    /// <summary>Size of its disk, in bytes.</summary>
    public long CapacityBytes { get; init; }

    /// <summary>Free bytes of its disk.</summary>
    public long FreeBytes { get; init; }

    /// <summary>Replicas that it holds.</summary>
    public long Chunks { get; init; }

    /// <summary>Chunks that it is the primary of.</summary>
    public long Leases { get; init; }

    /// <summary>Time since its last heartbeat.</summary>
    public TimeSpan Silent { get; init; }
}
