using Semel.Protocol.Identity;

namespace Semel.ChunkServer.Replicas;

/// <summary>
/// Says when a replica should write down what it holds: when it has been at rest for a while, or is used, but so little that it can be done
/// in between. Each chunk has a delay of its own, so that thousands that come to rest together do not write together. Owned by the
/// replica's loop; only <paramref name="due"/> runs beside it.
/// <code>
/// Nothing to write --Changed--> Waiting --due, IsTime--> Written or Later
///                                  +------due, too soon: Waiting--------+
/// </code>
/// </summary>
internal sealed class RestTimer(ChunkHandle chunk, TimeProvider time, Action due) : IDisposable
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(3);

    private readonly TimeSpan _delay = MostDelay * ((chunk.Value * 0x9E3779B97F4A7C15 >> 40) / (double)(1 << 24));
    private ITimer? _timer;
    private bool _isWaiting;
    private long _lastChange;
    private long? _unwrittenSince;

    /// <summary>There is something that was not written down yet.</summary>
    public void Changed()
    {
        _lastChange = time.GetTimestamp();
        _unwrittenSince ??= _lastChange;
        if (!_isWaiting)
            Wait(Rest + _delay);
    }

    /// <summary>To be asked when it was due. False: it was used since, and will be due again.</summary>
    public bool IsTime()
    {
        _isWaiting = false;
        if (_unwrittenSince is not { } since)
            return false;
        var left = Rest - time.GetElapsedTime(_lastChange);
        if (left <= TimeSpan.Zero || time.GetElapsedTime(since) >= Longest)
            return true;
        Wait(left + _delay);
        return false;
    }

    /// <summary>Not now: due again soon.</summary>
    public void Later() => Wait(Pause + _delay / 2);

    public void Written() => _unwrittenSince = null;

    public void Dispose() => _timer?.Dispose();

    private void Wait(TimeSpan delay)
    {
        _isWaiting = true;
        _timer ??= time.CreateTimer(_ => due(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(delay, Timeout.InfiniteTimeSpan);
    }
}
