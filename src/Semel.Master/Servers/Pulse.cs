namespace Semel.Master.Servers;

/// <summary>Wakes all flows that wait for something to happen. Belongs to the master's logical thread.</summary>
internal sealed class Pulse
{
    private readonly HashSet<TaskCompletionSource<bool>> _waiters = [];

    public void Fire()
    {
        foreach (var waiter in _waiters)
            waiter.TrySetResult(true);
        _waiters.Clear();
    }

    /// <summary>False: nothing happened in time.</summary>
    public async Task<bool> WaitAsync(TimeSpan atMost, TimeProvider time, CancellationToken cancellation)
    {
        // The continuation goes straight to the caller's context, and nothing of a wait that is over stays behind.
        var waiter = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiters.Add(waiter);
        try
        {
            using var timer = time.CreateTimer(
                static w => ((TaskCompletionSource<bool>)w!).TrySetResult(false), waiter, atMost > TimeSpan.Zero ? atMost : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
            using var registration = cancellation.UnsafeRegister(static (w, token) => ((TaskCompletionSource<bool>)w!).TrySetCanceled(token), waiter);
            return await waiter.Task;
        }
        finally
        {
            _waiters.Remove(waiter);
        }
    }
}
