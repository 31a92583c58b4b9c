namespace Semel.Simulation.Wire;

/// <summary>How bad the network is. All of it is drawn from the seed; the default is a quiet local network.</summary>
internal sealed record NetworkFaults
{
    public static readonly NetworkFaults None = new();

    public TimeSpan MinLatency { get; init; } = TimeSpan.FromMicroseconds(50);
    public TimeSpan MaxLatency { get; init; } = TimeSpan.FromMicroseconds(250);

    /// <summary>Probability that a message takes up to <see cref="TailLatency"/>.</summary>
    public double Tail { get; init; }
    public TimeSpan TailLatency { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Probability that a message (request or reply) is lost.</summary>
    public double Loss { get; init; }

    /// <summary>Of the lost ones: the caller learns at once that its connection broke.</summary>
    public double LossBreaksConnection { get; init; } = 0.3;

    /// <summary>Probability that a request is delivered twice.</summary>
    public double Duplication { get; init; }

    /// <summary>How much later the second one may come.</summary>
    public TimeSpan DuplicateDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Messages from one process to another keep their order (as on one connection), except duplicates.</summary>
    public bool InOrder { get; init; } = true;
}
