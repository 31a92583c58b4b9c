using System.Runtime.CompilerServices;

namespace Semel.Protocol.Scheduling;

/// <summary>
/// One logical thread: work that is posted here, and everything it awaits plainly, runs one step at a time and never in
/// parallel. Use <c>await context;</c> to move onto it. Steps of different flows interleave at their awaits, so a flow must
/// check again after an await what it relied on before it.
/// </summary>
/// <remarks>
/// In a simulation the ambient <see cref="SynchronizationContext"/> already is one thread and owns the schedule;
/// <see cref="Create"/> then posts there. In production the steps run on the thread pool.
/// </remarks>
public sealed class SerialContext : SynchronizationContext, IThreadPoolWorkItem
{
    private readonly SynchronizationContext? _ambient;
    private readonly Lock _gate = new();
    private Queue<(SendOrPostCallback, object?)> _queue = new();     // guarded by _gate
    private Queue<(SendOrPostCallback, object?)> _draining = new();  // owned by the running drain
    private bool _scheduled;                                         // guarded by _gate

    private SerialContext(SynchronizationContext? ambient) => _ambient = ambient;

    /// <summary>A context of its own, or a view of the ambient one where there is one.</summary>
    public static SerialContext Create() => new(Current is SerialContext outer ? outer._ambient : Current);

    public bool IsCurrent => _ambient is null ? Current == this : Current == _ambient;

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (_ambient is not null)
        {
            _ambient.Post(d, state);
            return;
        }
        lock (_gate)
        {
            _queue.Enqueue((d, state));
            if (_scheduled)
                return;
            _scheduled = true;
        }
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    public void Post(Action action) => Post(static a => ((Action)a!)(), action);

    public override void Send(SendOrPostCallback d, object? state) =>
        throw new NotSupportedException("A SerialContext never blocks a thread. Post instead.");

    public override SynchronizationContext CreateCopy() => this;

    void IThreadPoolWorkItem.Execute()
    {
        var previous = Current;
        SetSynchronizationContext(this);
        try
        {
            while (true)
            {
                lock (_gate)
                {
                    if (_queue.Count == 0)
                    {
                        _scheduled = false;
                        return;
                    }
                    (_queue, _draining) = (_draining, _queue);
                }
                while (_draining.TryDequeue(out var item))
                    item.Item1(item.Item2);
            }
        }
        finally
        {
            SetSynchronizationContext(previous);
        }
    }

    public Awaiter GetAwaiter() => new(this);

    /// <summary>Resumes the awaiting flow on the context; at once when it is there already.</summary>
    public readonly struct Awaiter(SerialContext context) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => context.IsCurrent;
        public void GetResult() { }
        public void OnCompleted(Action continuation) => context.Post(continuation);
        public void UnsafeOnCompleted(Action continuation) => context.Post(continuation);
    }
}
