using System.Globalization;

namespace Semel.Cli.Clusters;

/// <summary>What a process has used since its start.</summary>
/// <param name="CpuSeconds">User and system time.</param>
/// <param name="WrittenBytes">
/// <c>write_bytes</c> of <c>/proc/PID/io</c>: what it made the kernel write to storage, counted when a page becomes dirty, so also for bytes that nobody flushes.
/// </param>
internal readonly record struct ProcessUsage(double CpuSeconds, long WrittenBytes)
{
    /// <summary>Zeros when there is no such process.</summary>
    public static ProcessUsage OfProcess(int id) => new(ProcessorTime.OfProcess(id), WrittenBytesOf(id));

    public static ProcessUsage operator -(ProcessUsage after, ProcessUsage before) =>
        new(after.CpuSeconds - before.CpuSeconds, after.WrittenBytes - before.WrittenBytes);

    internal static long ParseWrittenBytes(IEnumerable<string> lines)
    {
        const string Key = "write_bytes: ";
        string? line = lines.FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal));
        return line is null ? 0 : long.Parse(line.AsSpan(Key.Length), CultureInfo.InvariantCulture);
    }

    private static long WrittenBytesOf(int id)
    {
        try
        {
            return ParseWrittenBytes(File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/io")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
