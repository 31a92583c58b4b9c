using System.Numerics;

namespace Semel.Cli.Commands.Bench;

/// <summary>
/// Durations in buckets of at most 1/64 relative width: adding costs nothing to speak of, and a percentile is exact to 1.6 %. Not thread-safe:
/// one per writer, merged at the end.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 6;
    private const int Sub = 1 << SubBits;

    private readonly long[] _counts = new long[(64 - SubBits + 1) * Sub];

    public long Count { get; private set; }
    public long MaxTicks { get; private set; }

    /// <param name="ticks">Of 100 ns.</param>
    public void Add(long ticks)
    {
        ticks = Math.Max(0, ticks);
        _counts[BucketOf(ticks)]++;
        Count++;
        MaxTicks = Math.Max(MaxTicks, ticks);
    }

    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
            _counts[i] += other._counts[i];
        Count += other.Count;
        MaxTicks = Math.Max(MaxTicks, other.MaxTicks);
    }

    public static LatencyHistogram Sum(IEnumerable<LatencyHistogram> parts)
    {
        var sum = new LatencyHistogram();
        foreach (var part in parts)
            sum.Add(part);
        return sum;
    }

    /// <summary>The buckets that are not empty, joined to four for each doubling: upper bounds in microseconds, ascending.</summary>
    public IEnumerable<(double UpToMicroseconds, double Count)> Coarse()
    {
        const int Joined = Sub / 4;
        for (int i = 0; i < _counts.Length; i += Joined)
        {
            long count = 0;
            for (int j = i; j < i + Joined; j++)
                count += _counts[j];
            if (count > 0)
                yield return ((UpperBoundOf(i + Joined - 1) + 1) / 10.0, count);
        }
    }

    /// <summary>The duration, in microseconds, that the given share (0 to 1) of all did not exceed.</summary>
    public double MicrosecondsAt(double share)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(share * Count));
        for (int i = 0; i < _counts.Length; i++)
        {
            rank -= _counts[i];
            if (rank <= 0)
                return Math.Min(UpperBoundOf(i), MaxTicks) / 10.0;
        }
        return MaxTicks / 10.0;
    }

    internal static int BucketOf(long ticks)
    {
        if (ticks < Sub)
            return (int)ticks;
        int shift = 63 - BitOperations.LeadingZeroCount((ulong)ticks) - SubBits;
        return ((shift + 1) << SubBits) + (int)((ticks >> shift) - Sub);
    }

    internal static long UpperBoundOf(int bucket)
    {
        if (bucket < Sub)
            return bucket;
        int shift = (bucket >> SubBits) - 1;
        return ((long)((bucket & (Sub - 1)) + Sub + 1) << shift) - 1;
    }
}
