using System.ComponentModel.DataAnnotations;
using Semel.Protocol.Frames;

namespace Semel.Master;

/// <summary>Settings of the master. <see cref="Validate"/> runs before it listens.</summary>
public sealed class MasterOptions : IValidatableObject
{
    /// <summary>Most copies of a chunk that a file may ask for.</summary>
    public const int MaxReplicas = 8;

    /// <summary>Where the master takes calls, <c>host:port</c>; port 0: any free one.</summary>
    [Required]
    public string BindAddress { get; set; } = "127.0.0.1:7070";

    /// <summary>Bytes that a chunk of a new file may hold; existing files keep theirs. Default 64 MiB.</summary>
    [Range(typeof(uint), "1048576", "268435456")]
    public uint ChunkCapacity { get; set; } = ChunkLimits.DefaultCapacity;

    /// <summary>Only for simulations, where a roll-over should be a common event: instead of <see cref="ChunkCapacity"/>, and below its range.</summary>
    internal uint? TinyChunkCapacity { get; set; }

    internal uint CapacityOfNewFiles => TinyChunkCapacity ?? ChunkCapacity;

    /// <summary>Copies of each chunk, where a file does not ask for another number. Default 3.</summary>
    [Range(1, MaxReplicas)]
    public int Replicas { get; set; } = 3;

    /// <summary>With fewer members than this a chunk takes no records; a file with fewer replicas needs only those. Default 2.</summary>
    [Range(1, MaxReplicas)]
    public int MinMembers { get; set; } = 2;

    /// <summary>Time between two heartbeats of a chunk server. Default 1 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:01:00")]
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>A chunk server that was silent for this long counts as dead. Default 3 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.200", "00:10:00")]
    public TimeSpan DeadAfter { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>How long a primary goes on without word from the master. Safety does not rest on it. Default 10 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan LeaseDuration { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a view change waits for the other members once one has answered. Default 400 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:01:00")]
    public TimeSpan PromiseWait { get; set; } = TimeSpan.FromMilliseconds(400);

    /// <summary>How long a call to a chunk server may take. Default 2 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan CallTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>Longest pause between two attempts at a chunk that has no usable member or no server to be made on. Default 2 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan LongestRetryPause { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>Complaints about a primary that was granted less than this ago change nothing: it may still be recovering. Default 500 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:01:00")]
    public TimeSpan ComplaintPause { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// How long the members of an open chunk are waited for before it goes on with fewer than <see cref="MinMembers"/>: none is left out
    /// before it was silent for so long, counted from the later of the master's start and its last sign of life. Until then such a chunk
    /// takes no records. Default 5 min.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan MemberGrace { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>A file whose chunk lost a member is given a new chunk with all replicas at most this often, unless a server came back. Default 20 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00")]
    public TimeSpan ShortSealPause { get; set; } = TimeSpan.FromSeconds(20);

    /// <summary>A sealed chunk is copied when it has lacked a replica for this long. Default 5 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan RepairGrace { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Chunks that are copied at a time in the whole cluster. Default 16.</summary>
    [Range(1, 1000)]
    public int ParallelClones { get; set; } = 16;

    /// <summary>Chunks that are copied to one server at a time. Default 2.</summary>
    [Range(1, 100)]
    public int ParallelClonesPerServer { get; set; } = 2;

    /// <summary>View changes that run at a time: a server with many primaries that restarts needs one for each. Default 64.</summary>
    [Range(1, 10_000)]
    public int ParallelViewChanges { get; set; } = 64;

    /// <summary>Chunks that are made at a time; further ones wait their turn. Default 64.</summary>
    [Range(1, 10_000)]
    public int ParallelChunkMaking { get; set; } = 64;

    /// <summary>Names of writers that one file may have. Default 1,000,000.</summary>
    [Range(1, 100_000_000)]
    public int MaxWriterNamesPerFile { get; set; } = 1_000_000;

    /// <summary>
    /// Files with memory durability only: when every member of a chunk lost its memory at once (a loss of power of all machines), go on with what the disks have,
    /// which may lack acknowledged records. Without it such a chunk stays unavailable until an operator decides. Default false.
    /// </summary>
    public bool AllowUncleanRecovery { get; set; }

    /// <summary>
    /// The operation log lacks entries that chunk servers have heard of (the data directory is an older copy, or its end was lost), and
    /// there is no better one: go on without them. What was created, registered or deleted in those entries is given up. Only for the start
    /// that needs it. Default false.
    /// </summary>
    public bool AcceptLostEntries { get; set; }

    /// <exception cref="ValidationException">Names the setting, its value and its range.</exception>
    public void Validate() => Validator.ValidateObject(this, new ValidationContext(this), validateAllProperties: true);

    IEnumerable<ValidationResult> IValidatableObject.Validate(ValidationContext validationContext)
    {
        if (MinMembers > Replicas)
            yield return new ValidationResult($"{nameof(MinMembers)} is {MinMembers}, more than {nameof(Replicas)}, which is {Replicas}.", [nameof(MinMembers)]);
        if (DeadAfter < HeartbeatInterval * 2)
            yield return new ValidationResult($"{nameof(DeadAfter)} is {DeadAfter}, less than two times {nameof(HeartbeatInterval)}, which is {HeartbeatInterval}: one lost heartbeat would be a death.", [nameof(DeadAfter)]);
        if (LeaseDuration < HeartbeatInterval * 3)
            yield return new ValidationResult($"{nameof(LeaseDuration)} is {LeaseDuration}, less than three times {nameof(HeartbeatInterval)}, which is {HeartbeatInterval}: leases would run out between heartbeats.", [nameof(LeaseDuration)]);
    }
}
