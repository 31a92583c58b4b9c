namespace Semel.Storage.Disks;

/// <summary>
/// The few threads of one disk that wait inside flushes, so that no thread of the pool does. Several flushes at a time, because the
/// file system makes them durable together. A thread is started when a flush finds none free and ends when it had nothing to do for a while.
/// </summary>
/// <remarks>The queue is bounded by the open files: a file that has a flush waiting joins it (<see cref="FlushQueue"/>).</remarks>
internal sealed class FlushThreads
{
    private const int MaxThreads = 16;
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(10);

    private readonly object _gate = new();                // guards the rest; pulsed for each new action
    private readonly Queue<Action> _waiting = new();
    private int _threads;
    private int _idle;

    /// <summary>Runs the action on one of the threads. It must not throw, and must not run anybody's continuation.</summary>
    public void Queue(Action action)
    {
        lock (_gate)
        {
            _waiting.Enqueue(action);
            if (_idle >= _waiting.Count || _threads == MaxThreads)
            {
                Monitor.Pulse(_gate);
                return;
            }
            _threads++;
        }
        new Thread(Run) { IsBackground = true, Name = "disk flush" }.Start();
    }

    private void Run()
    {
        while (TryTake(out var action))
            action();
    }

    private bool TryTake(out Action action)
    {
        lock (_gate)
        {
            while (!_waiting.TryDequeue(out action!))
            {
                _idle++;
                bool pulsed = Monitor.Wait(_gate, IdleTime);
                _idle--;
                if (!pulsed && _waiting.Count == 0)
                {
                    _threads--;
                    return false;
                }
            }
            return true;
        }
    }
}
