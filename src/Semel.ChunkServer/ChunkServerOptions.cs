using System.ComponentModel.DataAnnotations;

namespace Semel.ChunkServer;

/// <summary>Settings of a chunk server. <see cref="Validate"/> runs before it listens.</summary>
public sealed class ChunkServerOptions
{
    /// <summary>Where the master takes calls, <c>host:port</c>.</summary>
    [Required]
    public string MasterAddress { get; set; } = "127.0.0.1:7070";

    /// <summary>Where this server takes calls, <c>host:port</c>; port 0: any free one.</summary>
    [Required]
    public string BindAddress { get; set; } = "127.0.0.1:7071";

    /// <summary>What others dial, if it is not the bind address.</summary>
    public string? AdvertisedAddress { get; set; }

    /// <summary>Time between two heartbeats to the master; the master may ask for another. Default 1 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:01:00")]
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>A secondary that owes a vote for this long is accused before the master. Default 400 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:01:00")]
    public TimeSpan VoteTimeout { get; set; } = TimeSpan.FromMilliseconds(400);

    /// <summary>How long a committed watermark may wait for the next PREPARE to carry it before it goes alone. Default 2 ms.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:01")]
    public TimeSpan CommitDelay { get; set; } = TimeSpan.FromMilliseconds(2);

    /// <summary>With memory durability: how long written bytes may stay unflushed. Default 1 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:01:00")]
    public TimeSpan BackgroundFlushInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Groups that may be under way to a secondary at a time. Default 2: one on the wire while one is being flushed.</summary>
    [Range(1, 16)]
    public int GroupsInFlight { get; set; } = 2;

    /// <summary>Appends that may wait at one chunk; more are answered BUSY. Default 8,192.</summary>
    [Range(16, 1_000_000)]
    public int QueuedAppendsPerChunk { get; set; } = 8192;

    /// <summary>
    /// Of a chunk that has just been sealed so many bytes stay in the page cache, for readers that follow close behind; the rest makes room for the next chunk, in memory that is still
    /// warm. Default 8 MiB.
    /// </summary>
    [Range(0, 256 << 20)]
    public int SealedBytesInMemory { get; set; } = 8 << 20;

    /// <summary>Writers that one file may know; more are refused, unless some were idle for <see cref="WriterTimeToLive"/>. Default 10,000.</summary>
    [Range(1, 1_000_000)]
    public int MaxWritersPerFile { get; set; } = 10_000;

    /// <summary>
    /// A writer that was idle for this long is forgotten when a file that knows <see cref="MaxWritersPerFile"/> needs its place for a new one. Who comes back
    /// under its name then gets an error and never a duplicate. Default 7 days.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:01", "3650.00:00:00")]
    public TimeSpan WriterTimeToLive { get; set; } = TimeSpan.FromDays(7);

    /// <summary>How old a copy of the data directory may be at most before the cluster notices that it was put back.</summary>
    internal TimeSpan GenerationInterval { get; set; } = TimeSpan.FromHours(1);

    /// <summary>In the writer tables of sealed chunks that stay in memory, some 200 bytes each. See <see cref="Replicas.SealedTables"/>.</summary>
    internal int WritersInSealedTables { get; set; } = 100_000;

    /// <exception cref="ValidationException">Names the setting, its value and its range.</exception>
    public void Validate() => Validator.ValidateObject(this, new ValidationContext(this), validateAllProperties: true);
}
