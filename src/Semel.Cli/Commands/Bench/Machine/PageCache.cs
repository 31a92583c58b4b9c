using Semel.Cli.Clusters;

namespace Semel.Cli.Commands.Bench.Machine;

/// <summary>
/// Writes into the page cache, apart from any disk. A virtual machine that gives free memory back to its host pays for each page of it once again at the first
/// touch; then whoever is measured first is slow, and not by its own fault.
/// </summary>
internal static class PageCache
{
    private const int PieceBytes = 4 << 20;
    private const long MeasuredBytes = 512L << 20;

    /// <summary>10^6 bytes per second of a first and of a second file of the same size, the first deleted before.</summary>
    public static (double Fresh, double Again) Measure(string directory, TimeProvider time, CancellationToken cancellation) =>
        (Write(directory, MeasuredBytes, time, cancellation), Write(directory, MeasuredBytes, time, cancellation));

    /// <summary>Touches so much memory and gives it back.</summary>
    public static void Warm(long bytes, TimeProvider time, CancellationToken cancellation)
    {
        using var directory = new TemporaryDirectory();
        Write(directory.Path, bytes, time, cancellation);
    }

    private static double Write(string directory, long bytes, TimeProvider time, CancellationToken cancellation)
    {
        using var file = DiskProbe.Create(directory, "pages");
        var piece = new byte[PieceBytes];
        long begin = time.GetTimestamp();
        for (long at = 0; at < bytes; at += PieceBytes)
        {
            cancellation.ThrowIfCancellationRequested();
            RandomAccess.Write(file, piece, at);
        }
        return bytes / time.GetElapsedTime(begin).TotalSeconds / 1e6;
    }
}
