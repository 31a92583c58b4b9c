using Semel.ChunkServer;

namespace Semel.Cli.Configuration;

/// <summary>What <c>semel chunkserver</c> can be told.</summary>
internal sealed class ChunkServerSettings : ProcessSettings
{
    public ChunkServerSettings() => Data = "semel-data/chunkserver1";

    public ChunkServerOptions Server { get; } = new();

    public static readonly RoleSchema<ChunkServerSettings> Schema = new("chunkserver",
    [
        new("master", SettingKind.Address, s => s.Server, nameof(ChunkServerOptions.MasterAddress), "Where the master takes calls."),
        new("bind", SettingKind.ListenAddress, s => s.Server, nameof(ChunkServerOptions.BindAddress), "Where this server takes calls."),
        new("advertise", SettingKind.Address, s => s.Server, nameof(ChunkServerOptions.AdvertisedAddress), "What others dial, if it is not the bind address."),
        new("http", SettingKind.HttpAddress, s => s, nameof(Http), "Where health, metrics and status are served."),
        new("data", SettingKind.Text, s => s, nameof(Data), "Directory of the chunks. One process at a time; it belongs to one cluster for ever."),
        new("heartbeat_interval", SettingKind.Duration, s => s.Server, nameof(ChunkServerOptions.HeartbeatInterval), "Time between two heartbeats to the master, which may ask for another."),
        new("vote_timeout", SettingKind.Duration, s => s.Server, nameof(ChunkServerOptions.VoteTimeout), "A secondary that owes a vote for this long is accused before the master."),
        new("commit_delay", SettingKind.Duration, s => s.Server, nameof(ChunkServerOptions.CommitDelay), "How long a commit may wait for the next group of records to carry it to the secondaries."),
        new("background_flush_interval", SettingKind.Duration, s => s.Server, nameof(ChunkServerOptions.BackgroundFlushInterval), "With memory durability: how long written bytes may stay unflushed."),
        new("groups_in_flight", SettingKind.Number, s => s.Server, nameof(ChunkServerOptions.GroupsInFlight), "Groups of records that may be under way to a secondary at a time."),
        new("queued_appends_per_chunk", SettingKind.Number, s => s.Server, nameof(ChunkServerOptions.QueuedAppendsPerChunk), "Appends that may wait at one chunk; more are told to come back."),
        new("sealed_bytes_in_memory", SettingKind.Size, s => s.Server, nameof(ChunkServerOptions.SealedBytesInMemory), "Of a chunk that has just been sealed so many bytes stay in the page cache; the rest makes room for the next one."),
        new("max_writers_per_file", SettingKind.Number, s => s.Server, nameof(ChunkServerOptions.MaxWritersPerFile), "Writers that one file may know; more are refused, unless some were idle for long."),
        new("writer_time_to_live", SettingKind.Duration, s => s.Server, nameof(ChunkServerOptions.WriterTimeToLive), "After so long an idle writer is forgotten when a new one needs its place. Whoever resumes it gets an error."),
        new("log_level", SettingKind.OneOf, s => s, nameof(LogLevel), "From which severity on events are logged."),
        new("log_format", SettingKind.OneOf, s => s, nameof(LogFormat), "Lines for people or JSON for programs, both to standard error."),
    ],
    s => s.Server);
}
