using Semel.Protocol.Checksums;

namespace Semel.Cli.Commands.Bench.Machine;

/// <summary>How fast one thread sums up and copies bytes.</summary>
internal static class MemoryProbe
{
    private const int Small = 64 * 1024;
    private const int Large = 64 * 1024 * 1024;
    private static readonly TimeSpan Each = TimeSpan.FromMilliseconds(200);

    /// <summary>Gigabytes per second.</summary>
    public static (double CrcInCache, double CrcFromMemory, double Copy) Measure(TimeProvider time)
    {
        var source = new byte[Large];
        var target = new byte[Large];
        new Random(1).NextBytes(source);
        source.CopyTo(target, 0);
        return (
            Best(time, Small, () => Crc32C.Compute(source.AsSpan(0, Small))),
            Best(time, Large, () => Crc32C.Compute(source)),
            Best(time, Large, () =>
            {
                source.CopyTo(target, 0);
                return target[^1];
            }));
    }

    /// <summary>The best of many: what disturbs only makes it slower.</summary>
    private static double Best(TimeProvider time, int bytes, Func<uint> work)
    {
        var best = TimeSpan.MaxValue;
        long begin = time.GetTimestamp();
        int perTurn = Math.Max(1, 4 * Small / bytes);
        do
        {
            long turn = time.GetTimestamp();
            for (int i = 0; i < perTurn; i++)
                work();
            var took = time.GetElapsedTime(turn);
            best = took < best ? took : best;
        }
        while (time.GetElapsedTime(begin) < Each);
        return (double)bytes * perTurn / best.TotalSeconds / 1e9;
    }
}
