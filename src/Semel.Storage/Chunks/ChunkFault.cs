namespace Semel.Storage.Chunks;

/// <summary>Why the files of a replica cannot be opened.</summary>
public enum ChunkFaultKind
{
    /// <summary>What is there is no replica, or none any more: opening it again will end in the same way.</summary>
    Unreadable = 1,

    /// <summary>The disk or the system failed: what is there may be whole.</summary>
    DiskFailed = 2,

    /// <summary>A newer version of Semel has written it.</summary>
    Newer = 3,
}

/// <param name="Kind">Says whether it can be hoped for.</param>
/// <param name="Message">Which file is wrong and how.</param>
public sealed record ChunkFault(ChunkFaultKind Kind, string Message)
{
    public override string ToString() => Message;
}
