namespace Semel.Simulation.Kernel;

/// <summary>Something that will happen. Equal times happen in the order in which they were scheduled.</summary>
/// <param name="AtNs">Virtual time.</param>
/// <param name="Process">Whose step it is; null: the environment's.</param>
internal readonly record struct SimulatedEvent(long AtNs, long Sequence, SimulatedProcess? Process, SendOrPostCallback Callback, object? State)
{
    public bool IsBefore(in SimulatedEvent other) => AtNs < other.AtNs || (AtNs == other.AtNs && Sequence < other.Sequence);
}

/// <summary>A binary heap. Unbounded: a run ends by its events or its time limit.</summary>
internal sealed class EventQueue
{
    private SimulatedEvent[] _heap = new SimulatedEvent[256];

    public int Count { get; private set; }

    public void Enqueue(in SimulatedEvent item)
    {
        if (Count == _heap.Length)
            Array.Resize(ref _heap, Count * 2);
        int at = Count++;
        while (at > 0)
        {
            int parent = (at - 1) / 2;
            if (!item.IsBefore(in _heap[parent]))
                break;
            _heap[at] = _heap[parent];
            at = parent;
        }
        _heap[at] = item;
    }

    public bool TryDequeue(out SimulatedEvent first)
    {
        if (Count == 0)
        {
            first = default;
            return false;
        }
        first = _heap[0];
        var last = _heap[--Count];
        _heap[Count] = default;
        int at = 0;
        while (true)
        {
            int child = 2 * at + 1;
            if (child >= Count)
                break;
            if (child + 1 < Count && _heap[child + 1].IsBefore(in _heap[child]))
                child++;
            if (!_heap[child].IsBefore(in last))
                break;
            _heap[at] = _heap[child];
            at = child;
        }
        if (Count > 0)
            _heap[at] = last;
        return true;
    }
}
