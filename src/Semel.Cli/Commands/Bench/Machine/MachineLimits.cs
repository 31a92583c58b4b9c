using Semel.Cli.Clusters;

namespace Semel.Cli.Commands.Bench.Machine;

/// <summary>
/// What this machine can do at best, measured with the same runtime in the same minute as what it is compared with. Rates are 10^6 or 10^9 bytes per second.
/// </summary>
/// <param name="LoadAverage">Of the last minute, before the measurement: others that were busy.</param>
/// <param name="Crc32cGbPerS">64 KiB in the processor's cache.</param>
/// <param name="Crc32cMemoryGbPerS">64 MiB, from memory.</param>
/// <param name="LoopbackRoundTripUs">Of 100 bytes over TCP, median.</param>
/// <param name="LoopbackMbPerS">One TCP connection, 256 KiB a call.</param>
/// <param name="FdatasyncP50Us">Of one append of 100 bytes and its <c>fdatasync</c>.</param>
/// <param name="FdatasyncOfThreeP50Us">The same while two others do it, too: three replicas that share the disk flush at the same moment.</param>
/// <param name="SequentialWriteMbPerS">256 MiB through the page cache, with the <c>fdatasync</c> at its end.</param>
/// <param name="PageCacheMbPerS">Writing to memory that the machine used a moment ago.</param>
/// <param name="FreshPageCacheMbPerS">Writing to memory that was free before. On a virtual machine that gives free memory back to its host this is far slower.</param>
/// <param name="MemoryIsWarm">The two are about the same. If not, the first writes of a run are slow for a reason that has nothing to do with the program: see <c>--warm-memory</c>.</param>
internal sealed record MachineShape(
    int Processors, double? LoadAverage, double Crc32cGbPerS, double Crc32cMemoryGbPerS, double MemoryCopyGbPerS, double LoopbackRoundTripUs, double LoopbackMbPerS,
    double FdatasyncP50Us, double FdatasyncP99Us, double FdatasyncOfThreeP50Us, double SequentialWriteMbPerS, double PageCacheMbPerS, double FreshPageCacheMbPerS, bool MemoryIsWarm)
{
    public string ToText() => FormattableString.Invariant($"""
        machine: {Processors} processors, load average {LoadAverage:0.0}
          crc32c {Crc32cGbPerS:0.0} GB/s in cache, {Crc32cMemoryGbPerS:0.0} GB/s from memory; memory copy {MemoryCopyGbPerS:0.0} GB/s
          loopback round trip {LoopbackRoundTripUs:0.0} us, {LoopbackMbPerS:N0} MB/s
          fdatasync p50 {FdatasyncP50Us:N0} us, p99 {FdatasyncP99Us:N0} us, p50 of three at once {FdatasyncOfThreeP50Us:N0} us; sequential write {SequentialWriteMbPerS:N0} MB/s
          page cache {PageCacheMbPerS:N0} MB/s, fresh {FreshPageCacheMbPerS:N0} MB/s{(MemoryIsWarm ? "" : ": memory is cold, writes will be slow at first; see --warm-memory")}
        """);
}

/// <summary>Measures a <see cref="MachineShape"/>; takes a few seconds.</summary>
internal static class MachineLimits
{
    public static async Task<MachineShape> MeasureAsync(TimeProvider time, CancellationToken cancellation)
    {
        double? load = LoadAverage();
        using var directory = new TemporaryDirectory();
        var (fresh, again) = PageCache.Measure(directory.Path, time, cancellation);
        var (cached, fromMemory, copy) = MemoryProbe.Measure(time);
        var (roundTrip, loopback) = await LoopbackProbe.MeasureAsync(time, cancellation);
        var flush = DiskProbe.Flushes(directory.Path, "flushes", time, cancellation);
        var flushOfThree = await DiskProbe.FlushesAtOnceAsync(directory.Path, 3, time, cancellation);
        double sequential = DiskProbe.SequentialMbPerS(directory.Path, time, cancellation);
        return new MachineShape(
            Environment.ProcessorCount, load, Round(cached), Round(fromMemory), Round(copy), Round(roundTrip), Math.Round(loopback),
            LatencyShape.At(flush, 0.5), LatencyShape.At(flush, 0.99), LatencyShape.At(flushOfThree, 0.5), Math.Round(sequential), Math.Round(again), Math.Round(fresh), fresh > again / 2);
    }

    private static double Round(double value) => Math.Round(value, 1);

    private static double? LoadAverage()
    {
        try
        {
            return double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return null;
        }
    }
}
