namespace Semel.Client.Cluster;

/// <summary>
/// Completes what others wait for without running their code in place: it runs on the thread pool, or, where the client was made inside a context that owns the
/// schedule (a simulation), there. So completing is allowed under a lock.
/// </summary>
internal sealed class Signals(SynchronizationContext? ambient)
{
    /// <summary>Null: completions go to the thread pool by themselves.</summary>
    public SynchronizationContext? Ambient => ambient;

    public TaskCompletionSource<T> Create<T>() =>
        new(ambient is null ? TaskCreationOptions.RunContinuationsAsynchronously : TaskCreationOptions.None);

    public void Set<T>(TaskCompletionSource<T> source, T result)
    {
        if (ambient is null)
            source.SetResult(result);
        else
            Run(() => source.SetResult(result));
    }

    public void Fail<T>(TaskCompletionSource<T> source, Exception exception)
    {
        if (ambient is null)
            source.SetException(exception);
        else
            Run(() => source.SetException(exception));
    }

    public void Run(Action<object?> action, object? state)
    {
        if (ambient is null)
            ThreadPool.UnsafeQueueUserWorkItem(action, state, preferLocal: true);
        else
            Run(() => action(state));
    }

    public void Run(Action action)
    {
        if (ambient is null)
            ThreadPool.UnsafeQueueUserWorkItem(static a => a(), action, preferLocal: true);
        else
            ambient.Post(static a => ((Action)a!)(), action);
    }
}
