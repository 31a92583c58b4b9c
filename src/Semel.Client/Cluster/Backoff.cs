namespace Semel.Client.Cluster;

/// <summary>The client's source of chance: one generator that any thread may ask.</summary>
internal sealed class Jitter(Random random)
{
    private readonly Lock _gate = new();
    private readonly Random _random = random;   // guarded by _gate

    /// <summary>Between half and all of <paramref name="span"/>.</summary>
    public TimeSpan Of(TimeSpan span)
    {
        lock (_gate)
            return span * (0.5 + (0.5 * _random.NextDouble()));
    }

    /// <summary>0 to <paramref name="below"/> - 1.</summary>
    public int Next(int below)
    {
        lock (_gate)
            return _random.Next(below);
    }

    public ulong NextId()
    {
        lock (_gate)
            return (ulong)_random.NextInt64();
    }
}

/// <summary>Growing, jittered waits between attempts: 10 ms at first, doubled each time up to 1 s. Not thread-safe.</summary>
internal sealed class Backoff(Jitter jitter)
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(10);
    private const int MostDoublings = 7;

    /// <summary>Attempts since the last progress.</summary>
    public int Attempts { get; private set; }

    public TimeSpan Next()
    {
        var wait = jitter.Of(First * (1 << Math.Min(Attempts, MostDoublings)));
        Attempts++;
        return wait > TimeSpan.FromSeconds(1) ? TimeSpan.FromSeconds(1) : wait;
    }

    /// <summary>Something went forward.</summary>
    public void Reset() => Attempts = 0;
}
