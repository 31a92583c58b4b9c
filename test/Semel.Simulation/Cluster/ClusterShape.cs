using Semel.Protocol.Messages;

namespace Semel.Simulation.Cluster;

/// <summary>What a simulated cluster is made of.</summary>
internal sealed record ClusterShape
{
    public int ChunkServers { get; init; } = 3;
    public int Replicas { get; init; } = 3;
    public int MinMembers { get; init; } = 2;

    /// <summary>For how long a chunk waits for its members before it goes on with fewer than <see cref="MinMembers"/>.</summary>
    public TimeSpan MemberGrace { get; init; } = TimeSpan.FromSeconds(20);

    public uint ChunkCapacity { get; init; } = 1 << 20;
    public Durability Durability { get; init; } = Durability.Group;

    public int MaxWritersPerFile { get; init; } = 10_000;
    public TimeSpan WriterTimeToLive { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Largest error of a clock's rate, millionths.</summary>
    public int MaxDriftPpm { get; init; } = 100;

    /// <summary>Largest error of a wall clock.</summary>
    public TimeSpan MaxClockOffset { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Posted steps of a server may overtake each other.</summary>
    public bool Scrambles { get; init; }
}
