using Semel.Master;

namespace Semel.Cli.Configuration;

/// <summary>What <c>semel master</c> can be told.</summary>
internal sealed class MasterSettings : ProcessSettings
{
    public MasterSettings()
    {
        Data = "semel-data/master";
        Http = "127.0.0.1:7080";
    }

    public MasterOptions Master { get; } = new();

    public static readonly RoleSchema<MasterSettings> Schema = new("master",
    [
        new("bind", SettingKind.ListenAddress, s => s.Master, nameof(MasterOptions.BindAddress), "Where the master takes calls of clients and chunk servers."),
        new("http", SettingKind.HttpAddress, s => s, nameof(Http), "Where health, metrics and status are served."),
        new("data", SettingKind.Text, s => s, nameof(Data), "Directory of the operation log. One process at a time."),
        new("chunk_size", SettingKind.Size, s => s.Master, nameof(MasterOptions.ChunkCapacity), "Bytes that a chunk of a new file may hold; existing files keep theirs. A record may have a quarter of it, at most 16 MiB."),
        new("replicas", SettingKind.Number, s => s.Master, nameof(MasterOptions.Replicas), "Copies of each chunk, for files that do not say otherwise."),
        new("min_members", SettingKind.Number, s => s.Master, nameof(MasterOptions.MinMembers), "With fewer members than this a chunk takes no records; a file with fewer replicas needs only those."),
        new("heartbeat_interval", SettingKind.Duration, s => s.Master, nameof(MasterOptions.HeartbeatInterval), "Time between two heartbeats of a chunk server."),
        new("dead_after", SettingKind.Duration, s => s.Master, nameof(MasterOptions.DeadAfter), "A chunk server that was silent for this long counts as dead. At least two heartbeats."),
        new("lease_duration", SettingKind.Duration, s => s.Master, nameof(MasterOptions.LeaseDuration), "How long a primary goes on without word from the master; safety does not rest on it. At least three heartbeats."),
        new("promise_wait", SettingKind.Duration, s => s.Master, nameof(MasterOptions.PromiseWait), "How long a view change waits for the other members once one has answered."),
        new("call_timeout", SettingKind.Duration, s => s.Master, nameof(MasterOptions.CallTimeout), "How long a call to a chunk server may take."),
        new("longest_retry_pause", SettingKind.Duration, s => s.Master, nameof(MasterOptions.LongestRetryPause), "Longest pause between two attempts at a chunk that has no usable member or no server to be made on."),
        new("complaint_pause", SettingKind.Duration, s => s.Master, nameof(MasterOptions.ComplaintPause), "Complaints about a primary that was granted less than this ago change nothing: it may still be recovering."),
        new("member_grace", SettingKind.Duration, s => s.Master, nameof(MasterOptions.MemberGrace), "How long missing members of a chunk are waited for before it goes on with fewer than `min_members`, counted from the master's start or their last sign of life; until then it takes no records."),
        new("short_seal_pause", SettingKind.Duration, s => s.Master, nameof(MasterOptions.ShortSealPause), "A file whose chunk lost a member is given a new chunk with all replicas at most this often, unless a server came back."),
        new("repair_grace", SettingKind.Duration, s => s.Master, nameof(MasterOptions.RepairGrace), "A sealed chunk is copied when it has lacked a replica for this long."),
        new("parallel_clones", SettingKind.Number, s => s.Master, nameof(MasterOptions.ParallelClones), "Chunks that are copied at a time in the whole cluster."),
        new("parallel_clones_per_server", SettingKind.Number, s => s.Master, nameof(MasterOptions.ParallelClonesPerServer), "Chunks that are copied to one server at a time."),
        new("parallel_view_changes", SettingKind.Number, s => s.Master, nameof(MasterOptions.ParallelViewChanges), "View changes that run at a time: a server with many primaries that restarts needs one for each."),
        new("parallel_chunk_making", SettingKind.Number, s => s.Master, nameof(MasterOptions.ParallelChunkMaking), "Chunks that are made at a time; further ones wait their turn."),
        new("max_writer_names_per_file", SettingKind.Number, s => s.Master, nameof(MasterOptions.MaxWriterNamesPerFile), "Names of writers that one file may have."),
        new("allow_unclean_recovery", SettingKind.Switch, s => s.Master, nameof(MasterOptions.AllowUncleanRecovery), "For files with memory durability: when all members of a chunk lost their memory at once, go on with what the disks have, which may lack acknowledged records."),
        new("accept_lost_entries", SettingKind.Switch, s => s.Master, nameof(MasterOptions.AcceptLostEntries), "The operation log lacks entries that chunk servers have heard of, and there is no better one: go on without them, and give up what they said. Only for the start that needs it."),
        new("log_level", SettingKind.OneOf, s => s, nameof(LogLevel), "From which severity on events are logged."),
        new("log_format", SettingKind.OneOf, s => s, nameof(LogFormat), "Lines for people or JSON for programs, both to standard error."),
    ],
    s => s.Master);
}
