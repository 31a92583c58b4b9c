using Microsoft.Extensions.Logging;
using Semel.Cli.Terminal;

namespace Semel.Cli.Hosting;

/// <summary>
/// Watches the cores of this process's roles. One that ends before it was told to ends the process: whoever supervises it starts it again,
/// and until then nobody takes it for one that works.
/// </summary>
internal sealed class CoreWatch(TimeProvider time, ILogger logger, CancellationToken stop)
{
    /// <summary>For so long the process goes on, so that <c>/healthz</c> can tell why it ends.</summary>
    public static readonly TimeSpan TellingTime = TimeSpan.FromSeconds(1);

    private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? _fault;

    /// <summary>What is left behind may take this long to be closed; then the process ends without.</summary>
    public TimeSpan ClosingTime { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Why the process is about to end; null as long as every core lives.</summary>
    public string? Fault => Volatile.Read(ref _fault);

    /// <summary>Fails when a core has.</summary>
    public Task Failed => _failed.Task;

    public void Watch(string role, Task core) => _ = WatchAsync(role, core);

    /// <summary>Waits for the end of what uses the roles, but not for ever when a core has failed.</summary>
    /// <exception cref="CommandException">A core has failed.</exception>
    public async Task UntilEndOfAsync(Task serving)
    {
        await Task.WhenAny(serving, Failed);
        if (!Failed.IsCompleted)
        {
            await serving;
            return;
        }
        await Task.WhenAny(serving, Task.Delay(TellingTime + ClosingTime, time));
        if (!serving.IsCompleted)
            logger.NotClosed(ClosingTime.TotalSeconds);
        _ = serving.Exception;      // what follows from the failure is not told too
        await Failed;
    }

    private async Task WatchAsync(string role, Task core)
    {
        string reason;
        try
        {
            await core;
            return;     // it was closed, be it because something else went wrong: that is told by whoever closed it
        }
        catch (Exception e)
        {
            reason = e.Message;
        }
        if (stop.IsCancellationRequested)
            return;
        string fault = $"The {role} failed: {reason}";
        if (Interlocked.CompareExchange(ref _fault, fault, null) is not null)
            return;
        logger.CoreFailed(role, reason);
        // Not before the fault can be read.
        _failed.TrySetException(new CommandException(ExitCode.Failed, fault));
        _ = _failed.Task.Exception;     // observed, also when nobody waits any more
    }
}
