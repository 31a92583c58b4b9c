namespace Semel.Client;

/// <summary>What the master knows of a file or directory.</summary>
public sealed record FileStatus
{
    /// <summary>The path that was asked for.</summary>
    public required string Path { get; init; }

    /// <summary>True for a directory; then only <see cref="Path"/> and <see cref="Created"/> mean something.</summary>
    public bool IsDirectory { get; init; }

    /// <summary>Names the file for ever; another file that takes the path later has another one.</summary>
    public ulong FileId { get; init; }

    /// <summary>Replicas that each chunk should have.</summary>
    public int Replicas { get; init; }

    /// <summary>When an acknowledged record is safe.</summary>
    public FileDurability Durability { get; init; }

    /// <summary>Bytes that one chunk may hold.</summary>
    public long ChunkCapacity { get; init; }

    /// <summary>Chunks, the open one included.</summary>
    public long Chunks { get; init; }

    /// <summary>Bytes of frames in the sealed chunks; the open chunk is not counted.</summary>
    public long SealedBytes { get; init; }

    /// <summary>Writers that ever registered.</summary>
    public int Writers { get; init; }

    /// <summary>When it was created, by the master's clock.</summary>
    public DateTimeOffset Created { get; init; }
}

/// <summary>One name in a directory.</summary>
/// <param name="Name">The last component of <paramref name="Path"/>.</param>
/// <param name="Path">The absolute path.</param>
/// <param name="IsDirectory">True for a directory.</param>
/// <param name="FileId">Names the file for ever; 0 for a directory.</param>
/// <param name="Chunks">Chunks of the file, the open one included.</param>
/// <param name="Created">When it was created, by the master's clock.</param>
public sealed record ListEntry(string Name, string Path, bool IsDirectory, ulong FileId, long Chunks, DateTimeOffset Created);
