using Semel.Cli.Clusters;

namespace Semel.Cli.Commands.Bench.Machine;

/// <summary>
/// The page cache, apart from any disk. A virtual machine that gives free memory back to its host pays for each page of it once again at the first touch, some
/// seconds of the processor for each GiB; whatever it measures then is mostly that.
/// </summary>
internal static class PageCache
{
    private const int PieceBytes = 4 << 20;
    private const long MeasuredBytes = 512L << 20;

    /// <summary>10^6 bytes per second of a first and of a second file of the same size, the first deleted before.</summary>
    public static (double Fresh, double Again) Measure(string directory, TimeProvider time, CancellationToken cancellation) =>
        (Write(directory, MeasuredBytes, time, cancellation), Write(directory, MeasuredBytes, time, cancellation));

    /// <summary>
    /// Fills so much of the free memory with the pages of a file of holes, and keeps them until disposed. They need no disk, and the kernel takes them back when
    /// something else wants memory: then, as on a machine that has run for long, new pages are ones that were touched before. To free them would give them to the host.
    /// </summary>
    public static IDisposable Fill(long bytes, CancellationToken cancellation)
    {
        var directory = new TemporaryDirectory();
        try
        {
            using var file = File.OpenHandle(Path.Combine(directory.Path, "holes"), FileMode.CreateNew, FileAccess.ReadWrite);
            RandomAccess.SetLength(file, bytes);
            var piece = new byte[PieceBytes];
            for (long at = 0; at < bytes; at += PieceBytes)
            {
                cancellation.ThrowIfCancellationRequested();
                RandomAccess.Read(file, piece, at);
            }
            return directory;
        }
        catch
        {
            directory.Dispose();
            throw;
        }
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
