namespace Semel.Transport;

/// <summary>Who speaks, and the bounds of what a peer can make this process hold.</summary>
public sealed class SocketWireOptions
{
    /// <summary>What this process is: <c>client</c>, <c>master</c> or <c>chunkserver</c>. Told to every peer.</summary>
    public required string Role { get; init; }

    /// <summary>This process's cluster, asked at every handshake. Null or empty: not known yet. Two known ids must be equal.</summary>
    public Func<string?> ClusterId { get; init; } = static () => null;

    /// <summary>Largest protobuf header. Default 4 MiB.</summary>
    public int MaxHeaderBytes { get; init; } = 4 << 20;

    /// <summary>Largest payload. Default 20 MiB: a chunk's largest record and its frame.</summary>
    public int MaxPayloadBytes { get; init; } = 20 << 20;

    /// <summary>Connections that one listener keeps; more are closed at once. Default 4096.</summary>
    public int MaxAcceptedConnections { get; init; } = 4096;

    /// <summary>Calls that one accepted connection may have unanswered; at the bound nothing more is read from it. Default 4096.</summary>
    public int MaxCallsInProgress { get; init; } = 4096;

    /// <summary>Bytes of those calls. One call is taken whatever its size. Default 64 MiB.</summary>
    public int MaxBytesInProgress { get; init; } = 64 << 20;

    /// <summary>
    /// Bytes that wait to be sent on one connection; one frame is taken whatever its size. Beyond it calls wait, and an accepted
    /// connection takes no new ones. Default 8 MiB.
    /// </summary>
    public int SendQueueBytes { get; init; } = 8 << 20;

    /// <summary>Calls that one link may have open, those included that wait for a connection; more are unreachable at once. Default 65536.</summary>
    public int MaxCallsPerLink { get; init; } = 65536;

    /// <summary>Time for a connection to be made and greeted. Default 5 s.</summary>
    public TimeSpan HelloTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A side that had nothing to send for this long says that it is alive. Default 5 s.</summary>
    public TimeSpan PingInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A peer that was silent for this long is dead. Default 15 s.</summary>
    public TimeSpan DeadAfter { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Wait before the second attempt to connect; doubles up to <see cref="LongestBackOff"/>, and half of it is random. Default 20 ms.</summary>
    public TimeSpan FirstBackOff { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Longest wait between two attempts to connect. Default 1 s.</summary>
    public TimeSpan LongestBackOff { get; init; } = TimeSpan.FromSeconds(1);

    internal void Check()
    {
        ArgumentException.ThrowIfNullOrEmpty(Role);
        ArgumentNullException.ThrowIfNull(ClusterId);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxHeaderBytes, 4096);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxHeaderBytes, 1 << 28);
        ArgumentOutOfRangeException.ThrowIfNegative(MaxPayloadBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxPayloadBytes, 1 << 29);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxAcceptedConnections);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxCallsInProgress);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxBytesInProgress);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(SendQueueBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxCallsPerLink);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(HelloTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(PingInterval, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(DeadAfter, PingInterval);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(FirstBackOff, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(LongestBackOff, FirstBackOff);
    }
}
