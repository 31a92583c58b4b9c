namespace Semel.ChunkServer.Replicas;

/// <summary>What this replica once held is not there any more, or is something else: others go on without it, and it is replaced.</summary>
internal sealed class DamageException(string message, Exception? inner = null) : IOException(message, inner)
{
    /// <summary>Bytes are missing at the end of the file.</summary>
    public bool IsShortage { get; init; }
}
