using System.Globalization;
using System.Text;
using Semel.Cli.Terminal;
using Semel.Protocol.Frames;

namespace Semel.Cli.Commands.Demo;

/// <summary>The lines that a demonstration appends.</summary>
internal static class DemoInput
{
    private const long MaxFileBytes = 1L << 30;

    /// <exception cref="CommandException">The file cannot be read, or a line is too long for a record.</exception>
    public static IReadOnlyList<ReadOnlyMemory<byte>> FromFile(string file)
    {
        byte[] bytes;
        try
        {
            if (new FileInfo(file) is { Exists: true, Length: > MaxFileBytes })
                throw CommandException.Usage($"{file} is larger than 1 GiB; the demonstration keeps its input in memory. Use 'semel append' with a cluster.");
            bytes = File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CommandException(ExitCode.NotFound, $"There is no file {file}.");
        }
        var lines = new List<ReadOnlyMemory<byte>>();
        int limit = ChunkLimits.MaxRecordLength(DemoRun.ChunkSize);
        for (int start = 0; start < bytes.Length;)
        {
            int length = bytes.AsSpan(start).IndexOf((byte)'\n');
            int next = length < 0 ? bytes.Length : start + length + 1;
            length = length < 0 ? bytes.Length - start : length;
            if (length > limit)
                throw CommandException.Usage($"Line {lines.Count + 1} of {file} has {length} bytes; the demonstration's chunks take records of {limit}.");
            lines.Add(bytes.AsMemory(start, length));
            start = next;
        }
        return lines;
    }

    /// <summary>Lines of a made-up web server's log; the same ones each time.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Generate(long count)
    {
        string[] methods = ["GET", "GET", "GET", "POST", "PUT", "DELETE"];
        string[] paths = ["/", "/login", "/orders", "/orders/items", "/search", "/static/app.js", "/api/v1/status"];
        int[] codes = [200, 200, 200, 200, 201, 204, 304, 404, 500];
        var chance = new Random(42);
        var lines = new ReadOnlyMemory<byte>[count];
        var time = new DateTime(2025, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        for (long i = 0; i < count; i++)
        {
            time = time.AddMilliseconds(chance.Next(40));
            lines[i] = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
                $"{time:yyyy-MM-ddTHH:mm:ss.fffZ} 10.{chance.Next(256)}.{chance.Next(256)}.{chance.Next(256)} {methods[chance.Next(methods.Length)]} {paths[chance.Next(paths.Length)]} {codes[chance.Next(codes.Length)]} {chance.Next(40_000)} {chance.NextDouble() * 80:0.000}"));
        }
        return lines;
    }
}
