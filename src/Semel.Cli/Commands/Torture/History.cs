using System.Text.Json;
using System.Text.Json.Serialization;

namespace Semel.Cli.Commands.Torture;

/// <summary>One line of a history. Which keys a line has depends on <see cref="Event"/>; see <c>docs/cli.md</c>.</summary>
internal sealed record HistoryLine
{
    public const string Run = "run", Open = "open", Sent = "sent", Acknowledged = "ack", Read = "read", Fault = "fault", Found = "found", Audit = "audit", End = "end";

    [JsonPropertyName("ev")]
    public required string Event { get; init; }

    /// <summary>Milliseconds since the run began.</summary>
    [JsonPropertyName("t")]
    public long Time { get; init; }

    public int? Version { get; init; }
    public long? Seed { get; init; }
    public double? Seconds { get; init; }

    /// <summary>The file.</summary>
    public string? Path { get; init; }

    /// <summary>The writer's name, and the number that the cluster gave it.</summary>
    public string? Writer { get; init; }
    public ulong? Id { get; init; }
    public uint? Epoch { get; init; }
    public ulong? Seq { get; init; }

    /// <summary>A position; which file it is of says the path.</summary>
    public string? Pos { get; init; }

    /// <summary>CRC32C of the record.</summary>
    public uint? Crc { get; init; }
    public string? Reader { get; init; }
    public string? Kind { get; init; }
    public string? What { get; init; }

    /// <summary>Of an audit: replicas that differ or do not verify, other than by rot that the run planted; and those.</summary>
    public long? Divergent { get; init; }
    public long? Planted { get; init; }
    public long? Unread { get; init; }
}

/// <summary>Writes down everything that a run was told, saw and did, as it happens: a JSON object per line.</summary>
internal sealed class History : IDisposable
{
    public const int Version = 1;

    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    private readonly FileStream _file;
    private readonly TimeProvider _time;
    private readonly long _begin;
    private readonly Lock _gate = new();   // guards _file

    public History(string file, TimeProvider time)
    {
        _file = new FileStream(file, FileMode.Create, FileAccess.Write, FileShare.Read, 1 << 16);
        _time = time;
        _begin = time.GetTimestamp();
    }

    public string File => _file.Name;

    public void Add(HistoryLine line)
    {
        line = line with { Time = (long)_time.GetElapsedTime(_begin).TotalMilliseconds };
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(line, Options);
        lock (_gate)
        {
            _file.Write(bytes);
            _file.WriteByte((byte)'\n');
        }
    }

    public void Dispose()
    {
        lock (_gate)
            _file.Dispose();
    }

    /// <exception cref="JsonException">A line is not what it should be.</exception>
    public static HistoryLine Parse(string line) => JsonSerializer.Deserialize<HistoryLine>(line, Options) ?? throw new JsonException("null");
}
