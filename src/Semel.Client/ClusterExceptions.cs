namespace Semel.Client;

/// <summary>
/// The cluster did not do it within <see cref="SemelClientOptions.OperationTimeout"/>: the master is not there, or says that it cannot now
/// (recovering, no healthy chunk server). The message names the address and what was tried.
/// </summary>
public sealed class ClusterUnavailableException : SemelException
{
    private readonly bool _inDoubt;

    internal ClusterUnavailableException(string message, bool inDoubt = false) : base(message) => _inDoubt = inDoubt;

    /// <summary>Always true.</summary>
    public override bool IsRetryable => true;

    /// <summary>True when a request was sent and its answer never came.</summary>
    public override bool InDoubt => _inDoubt;
}

/// <summary>The peer refuses this client: it belongs to another cluster, or speaks another version of the protocol. Nothing was done.</summary>
public sealed class ClusterRefusedException : SemelException
{
    internal ClusterRefusedException(string message) : base(message) { }
}

/// <summary>The time for the operation passed while it was at work.</summary>
public sealed class DeadlineExceededException : SemelException
{
    private readonly bool _inDoubt;

    internal DeadlineExceededException(string message, bool inDoubt) : base(message) => _inDoubt = inDoubt;

    /// <summary>Always true.</summary>
    public override bool IsRetryable => true;

    /// <summary>True when a request was sent and its answer never came.</summary>
    public override bool InDoubt => _inDoubt;
}

/// <summary>Bytes that a chunk server sent do not verify (checksum, chain, place), on every replica that could be asked.</summary>
public sealed class CorruptDataException : SemelException
{
    internal CorruptDataException(string message) : base(message) { }
}
