using Semel.Protocol;

namespace Semel.Storage.Disks;

/// <summary>
/// The flushes of one file: one runs at a time, and one that has not begun yet takes every later caller along. After a failure all fail. The kernel reports a
/// lost write once, to whichever flush asks first: a second one, also one that ran beside it, would succeed and mean nothing.
/// </summary>
internal sealed class FlushQueue(string path, FlushThreads threads, Action flush)
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _waiting;   // guarded by _gate; not begun
    private bool _running;                    // guarded by _gate
    private IOException? _failed;             // guarded by _gate; set once

    /// <summary>Ends when everything that was written before the call is durable.</summary>
    public ValueTask FlushAsync()
    {
        lock (_gate)
        {
            if (_failed is { } failed)
                return ValueTask.FromException(AlreadyFailed(failed));
            _waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (!_running)
            {
                _running = true;
                threads.Queue(Run);
            }
            return new ValueTask(_waiting.Task);
        }
    }

    private void Run()
    {
        TaskCompletionSource asked;
        lock (_gate)
        {
            Invariant.Holds(_waiting is not null);
            (asked, _waiting) = (_waiting, null);
        }
        Exception? failure = null;
        try
        {
            flush();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            failure = e;
        }
        TaskCompletionSource? next;
        lock (_gate)
        {
            _failed = failure as IOException;
            next = _waiting;
            if (next is not null && _failed is null)
                threads.Queue(Run);
            else
                (_running, _waiting) = (false, null);
        }
        if (failure is null)
            asked.SetResult();
        else
            asked.SetException(failure);
        if (failure is IOException lost)
            next?.SetException(AlreadyFailed(lost));
    }

    private IOException AlreadyFailed(IOException failed) =>
        new($"An earlier flush of {path} failed, so nobody knows which of its bytes are durable. Restart the server; it reads the file again.", failed);
}
