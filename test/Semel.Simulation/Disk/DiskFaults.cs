namespace Semel.Simulation.Disk;

/// <summary>How slow and how bad a disk is. The default is a good one.</summary>
internal sealed record DiskFaults
{
    public static readonly DiskFaults None = new();

    public TimeSpan MinFlush { get; init; } = TimeSpan.FromMicroseconds(100);
    public TimeSpan MaxFlush { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Probability that a flush takes up to <see cref="TailFlush"/>.</summary>
    public double Tail { get; init; }
    public TimeSpan TailFlush { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Probability that a flush fails. The bytes it covered may be gone from then on, although they can still be read.</summary>
    public double FlushError { get; init; }

    /// <summary>Probability that a write fails; a part of it may have been written.</summary>
    public double WriteError { get; init; }

    /// <summary>No space for anything that was not reserved.</summary>
    public bool Full { get; init; }

    /// <summary>As on copy-on-write file systems: when <see cref="Full"/>, reserved space does not help either.</summary>
    public bool ReservationsFail { get; init; }
}
