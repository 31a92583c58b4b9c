namespace Semel.ChunkServer.Replicas;

/// <summary>
/// How many replicas of a server may write their metadata down at the same time because they came to rest: nobody waits for it, and appends
/// to other chunks use the disk. Thread-safe.
/// </summary>
internal sealed class RestWrites
{
    private const int Most = 4;

    private int _running;

    /// <summary>False: enough run already. True: <see cref="End"/> must follow.</summary>
    public bool TryBegin()
    {
        if (Interlocked.Increment(ref _running) <= Most)
            return true;
        Interlocked.Decrement(ref _running);
        return false;
    }

    public void End() => Interlocked.Decrement(ref _running);
}
