using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Semel.Cli.Commands.Bench.Machine;

/// <summary>What the disk of the temporary directory does at best: nothing else on the files.</summary>
internal static class DiskProbe
{
    private const int RecordBytes = 100;
    private const int PieceBytes = 1 << 20;
    private const long SequentialBytes = 256L << 20;
    private static readonly TimeSpan Each = TimeSpan.FromMilliseconds(700);

    /// <summary>An append of 100 bytes and its <c>fdatasync</c>, over and over.</summary>
    public static LatencyHistogram Flushes(string directory, string name, TimeProvider time, CancellationToken cancellation)
    {
        using var file = Create(directory, name);
        var record = new byte[RecordBytes];
        var latencies = new LatencyHistogram();
        long begin = time.GetTimestamp();
        for (long at = 0; time.GetElapsedTime(begin) < Each; at += RecordBytes)
        {
            cancellation.ThrowIfCancellationRequested();
            long turn = time.GetTimestamp();
            RandomAccess.Write(file, record, at);
            Flush(file);
            latencies.Add(time.GetElapsedTime(turn).Ticks);
        }
        return latencies;
    }

    /// <summary>The same on several files at a time, each for itself: what the replicas of a chunk do to one disk that they share.</summary>
    public static async Task<LatencyHistogram> FlushesAtOnceAsync(string directory, int files, TimeProvider time, CancellationToken cancellation) =>
        LatencyHistogram.Sum(await Task.WhenAll(Enumerable.Range(0, files).Select(i => Task.Factory.StartNew(
            () => Flushes(directory, FormattableString.Invariant($"flushes-{i}"), time, cancellation), cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default))));

    public static double SequentialMbPerS(string directory, TimeProvider time, CancellationToken cancellation)
    {
        using var file = Create(directory, "sequential");
        var piece = new byte[PieceBytes];
        long begin = time.GetTimestamp();
        for (long at = 0; at < SequentialBytes; at += PieceBytes)
        {
            cancellation.ThrowIfCancellationRequested();
            RandomAccess.Write(file, piece, at);
        }
        Flush(file);
        return SequentialBytes / time.GetElapsedTime(begin).TotalSeconds / 1e6;
    }

    /// <summary>Gone when it is closed.</summary>
    internal static SafeFileHandle Create(string directory, string name) =>
        File.OpenHandle(Path.Combine(directory, name), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, FileOptions.DeleteOnClose);

    private static void Flush(SafeFileHandle file)
    {
        if (FDataSync(file) != 0)
            throw new IOException($"fdatasync failed: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [DllImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static extern int FDataSync(SafeFileHandle file);
}
