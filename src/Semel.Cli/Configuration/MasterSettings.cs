using Semel.Cli.Terminal;
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
        new("chunk_size", SettingKind.Size, s => s.Master, nameof(MasterOptions.ChunkCapacity), "Bytes that a new chunk may hold. A record may have a quarter of it, at most 16 MiB."),
        new("replicas", SettingKind.Number, s => s.Master, nameof(MasterOptions.Replicas), "Copies of each chunk, for files that do not say otherwise."),
        new("min_members", SettingKind.Number, s => s.Master, nameof(MasterOptions.MinMembers), "With fewer copies than this a chunk takes no more records; a new chunk is begun elsewhere."),
        new("log_level", SettingKind.OneOf, s => s, nameof(LogLevel), "From which severity on events are logged."),
        new("log_format", SettingKind.OneOf, s => s, nameof(LogFormat), "Lines for people or JSON for programs, both to standard error."),
    ],
    s => s.Master.MinMembers > s.Master.Replicas
        ? [$"min_members: {s.Master.MinMembers} is more than replicas: {s.Master.Replicas}. Lower min_members or raise replicas."]
        : []);
}
