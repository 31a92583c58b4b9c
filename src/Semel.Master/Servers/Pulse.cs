namespace Semel.Master.Servers;

/// <summary>Wakes all flows that wait for something to happen. Belongs to the master's context.</summary>
internal sealed class Pulse
{
    private readonly List<TaskCompletionSource<bool>> _waiting = [];

    public void Fire()
    {
        foreach (var waiting in _waiting)
            waiting.TrySetResult(true);
        _waiting.Clear();
    }

    /// <summary>False: nothing happened in time.</summary>
    public async Task<bool> WaitAsync(TimeSpan atMost, TimeProvider time, CancellationToken cancellation)
    {
        // Not Task.WaitAsync: it would resume by way of the thread pool, which a simulation does not own.
        var woken = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting.Add(woken);
        try
        {
            using var timer = time.CreateTimer(
                static w => ((TaskCompletionSource<bool>)w!).TrySetResult(false), woken, atMost > TimeSpan.Zero ? atMost : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
            using var cancelled = cancellation.Register(() => woken.TrySetCanceled(cancellation));
            return await woken.Task;
        }
        finally
        {
            _waiting.Remove(woken);
        }
    }
}
