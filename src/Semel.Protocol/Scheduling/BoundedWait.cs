namespace Semel.Protocol.Scheduling;

/// <summary>
/// Waits with a limit that stay on their context. <see cref="Task.WaitAsync(TimeSpan, TimeProvider, CancellationToken)"/> on a task whose source
/// runs its continuations asynchronously goes by way of the thread pool, which a simulation does not own.
/// </summary>
public static class BoundedWait
{
    /// <summary>As <c>WaitAsync</c>. The task holds a continuation until it completes, also after the limit: do not wait for the same task for ever, again and again.</summary>
    /// <exception cref="TimeoutException">The limit came first.</exception>
    public static Task WithinAsync(this Task task, TimeSpan limit, TimeProvider time, CancellationToken cancellation = default) =>
        task.IsCompleted ? task : OnContextAsync(task).WaitAsync(limit, time, cancellation);

    /// <inheritdoc cref="WithinAsync(Task, TimeSpan, TimeProvider, CancellationToken)"/>
    public static Task<T> WithinAsync<T>(this Task<T> task, TimeSpan limit, TimeProvider time, CancellationToken cancellation = default) =>
        task.IsCompleted ? task : OnContextAsync(task).WaitAsync(limit, time, cancellation);

    /// <inheritdoc cref="WithinAsync(Task, TimeSpan, TimeProvider, CancellationToken)"/>
    public static Task WithinAsync(this Task task, CancellationToken cancellation) =>
        task.IsCompleted ? task : OnContextAsync(task).WaitAsync(cancellation);

    /// <inheritdoc cref="WithinAsync(Task, TimeSpan, TimeProvider, CancellationToken)"/>
    public static Task<T> WithinAsync<T>(this Task<T> task, CancellationToken cancellation) =>
        task.IsCompleted ? task : OnContextAsync(task).WaitAsync(cancellation);

    /// <summary>The same task, resumed on the caller's context: its own completion runs continuations in place.</summary>
    private static async Task OnContextAsync(Task task) => await task;

    private static async Task<T> OnContextAsync<T>(Task<T> task) => await task;
}
