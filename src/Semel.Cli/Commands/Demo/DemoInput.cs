using System.Collections;
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

    /// <summary>Lines of a made-up web server's log; the same ones each time. Each is made when it is asked for.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Generate(int count) => new GeneratedLines(count);

    private sealed class GeneratedLines(int count) : IReadOnlyList<ReadOnlyMemory<byte>>
    {
        private static readonly string[] Methods = ["GET", "GET", "GET", "POST", "PUT", "DELETE"];
        private static readonly string[] Paths = ["/", "/login", "/orders", "/orders/items", "/search", "/static/app.js", "/api/v1/status"];
        private static readonly int[] Codes = [200, 200, 200, 200, 201, 204, 304, 404, 500];
        private static readonly DateTime Start = new(2025, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        public int Count => count;

        public ReadOnlyMemory<byte> this[int index]
        {
            get
            {
                var time = Start.AddMilliseconds((index * 20L) + Draw(index, 0, 20));
                return Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
                    $"{time:yyyy-MM-ddTHH:mm:ss.fffZ} 10.{Draw(index, 1, 256)}.{Draw(index, 2, 256)}.{Draw(index, 3, 256)} {Methods[Draw(index, 4, Methods.Length)]} {Paths[Draw(index, 5, Paths.Length)]} {Codes[Draw(index, 6, Codes.Length)]} {Draw(index, 7, 40_000)} {Draw(index, 8, 80_000) / 1000.0:0.000}"));
            }
        }

        public IEnumerator<ReadOnlyMemory<byte>> GetEnumerator() => Enumerable.Range(0, count).Select(i => this[i]).GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        /// <summary>SplitMix64 of the line's and the draw's number.</summary>
        private static int Draw(int line, int number, int below)
        {
            ulong z = unchecked((((ulong)line * 16) + (ulong)number + 1) * 0x9E3779B97F4A7C15);
            z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
            z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
            return (int)((z ^ (z >> 31)) % (ulong)below);
        }
    }
}
