using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Semel.Cli.Terminal;

namespace Semel.Cli.Verification;

/// <summary>
/// What was in files when they were verified, one JSON object per line:
/// <list type="number">
/// <item>the heading: <c>{"semel_manifest":1,"cluster_id","created"}</c>;</item>
/// <item>each chunk, in file order: <c>{"path","index","handle","length","sha256","records","previous"}</c>;</item>
/// <item>the end: <c>{"files","chunks","records","previous"}</c>.</item>
/// </list>
/// <c>previous</c> is the SHA-256 of the line before it, without its line feed. So no line can be changed, left out or put elsewhere without changing all that follow; the
/// hash of the last line stands for the whole and belongs into other hands.
/// </summary>
internal static class Manifest
{
    public const int Version = 1;

    public sealed record Heading(int SemelManifest, string ClusterId, DateTimeOffset Created);

    public sealed record ChunkLine(string Path, ulong Index, string Handle, uint Length, string Sha256, long Records, string Previous);

    public sealed record End(long Files, long Chunks, long Records, string Previous);

    public static string HashOf(string line) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(line)));
}

/// <summary>Writes a manifest beside its file, and puts it there when it is complete.</summary>
internal sealed class ManifestWriter : IDisposable
{
    private readonly string _file;
    private readonly StreamWriter _output;
    private readonly HashSet<string> _files = [];
    private string _previous;
    private long _chunks;
    private long _records;

    public ManifestWriter(string file, string clusterId, DateTimeOffset now)
    {
        _file = file;
        _output = new StreamWriter(file + ".tmp", append: false, StandardStreams.Utf8) { NewLine = "\n" };
        _previous = "";
        Write(new Manifest.Heading(Manifest.Version, clusterId, now));
    }

    public void Add(AuditedChunk chunk)
    {
        _files.Add(chunk.Path);
        _chunks++;
        _records += chunk.Records;
        Write(new Manifest.ChunkLine(chunk.Path, chunk.Index, new Protocol.Identity.ChunkHandle(chunk.Handle).ToString(), chunk.Length, chunk.Sha256, chunk.Records, _previous));
    }

    /// <summary>Closes the chain. Returns the hash that stands for all of it.</summary>
    public string Complete()
    {
        Write(new Manifest.End(_files.Count, _chunks, _records, _previous));
        _output.Dispose();
        File.Move(_file + ".tmp", _file, overwrite: true);
        return _previous;
    }

    public void Dispose()
    {
        _output.Dispose();
        File.Delete(_file + ".tmp");
    }

    private void Write<T>(T line)
    {
        string text = JsonLine.Of(line);
        _output.WriteLine(text);
        _previous = Manifest.HashOf(text);
    }
}

/// <summary>Reads a manifest and checks its chain on the way.</summary>
internal sealed class ManifestReader(string file)
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
        RespectRequiredConstructorParameters = true,
    };

    private int _line;

    /// <summary>The hash of the last line, when all has been read.</summary>
    public string Hash { get; private set; } = "";

    public long Files { get; private set; }
    public long Chunks { get; private set; }
    public long Records { get; private set; }

    /// <summary>The chunks, in order.</summary>
    /// <exception cref="CommandException">There is no such file (3), or it is not what it was when it was written (8): names the line.</exception>
    public IEnumerable<Manifest.ChunkLine> Read()
    {
        using var input = Open();
        string? line = input.ReadLine();
        _line = 1;
        if (line is null || !line.StartsWith("{\"semel_manifest\":", StringComparison.Ordinal))
            throw Fault("it is no heading of a manifest");
        var heading = Parse<Manifest.Heading>(line);
        if (heading.SemelManifest != Manifest.Version)
            throw Fault($"the manifest has format {heading.SemelManifest}; this program knows {Manifest.Version}");
        string previous = Manifest.HashOf(line);
        string path = "";
        while ((line = input.ReadLine()) is not null)
        {
            _line++;
            if (!line.StartsWith("{\"path\":", StringComparison.Ordinal))
            {
                CheckEnd(Parse<Manifest.End>(line), previous);
                Hash = Manifest.HashOf(line);
                if (input.ReadLine() is not null)
                    throw Fault("lines follow the end");
                yield break;
            }
            var chunk = Parse<Manifest.ChunkLine>(line);
            CheckPrevious(chunk.Previous, previous);
            previous = Manifest.HashOf(line);
            Chunks++;
            Records += chunk.Records;
            if (chunk.Path != path)
                Files++;
            path = chunk.Path;
            yield return chunk;
        }
        _line++;
        throw Fault("the end is missing: the manifest was cut off");
    }

    private void CheckEnd(Manifest.End end, string previous)
    {
        CheckPrevious(end.Previous, previous);
        if ((end.Files, end.Chunks, end.Records) != (Files, Chunks, Records))
            throw Fault($"the end speaks of {end.Files} files, {end.Chunks} chunks, {end.Records} records; there are {Files}, {Chunks}, {Records}");
    }

    private void CheckPrevious(string said, string actual)
    {
        if (said != actual)
            throw Fault($"it follows a line with hash {said}, the line before it has {actual}: one of the two was changed");
    }

    private StreamReader Open()
    {
        try
        {
            return new StreamReader(file, StandardStreams.Utf8);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CommandException(ExitCode.NotFound, $"There is no file {file}.");
        }
    }

    private T Parse<T>(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(line, Options) ?? throw Fault("it is null");
        }
        catch (JsonException e)
        {
            throw Fault($"it is no line of a manifest: {e.Message}");
        }
    }

    private CommandException Fault(string what) => new(ExitCode.VerificationFailed, $"{file}, line {_line}: {what}.");
}
