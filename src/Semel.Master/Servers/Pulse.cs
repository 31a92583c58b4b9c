namespace Semel.Master.Servers;

/// <summary>Wakes all flows that wait for something to happen.</summary>
internal sealed class Pulse
{
    private TaskCompletionSource _next = New();

    public void Fire()
    {
        var fired = _next;
        _next = New();
        fired.SetResult();
    }

    /// <summary>False: nothing happened in time.</summary>
    public async Task<bool> WaitAsync(TimeSpan atMost, TimeProvider time, CancellationToken cancellation)
    {
        try
        {
            await _next.Task.WaitAsync(atMost > TimeSpan.Zero ? atMost : TimeSpan.Zero, time, cancellation);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
