namespace Semel.Client.Appending;

/// <summary>
/// What waits for room in the writer's buffer, in order of arrival. Guarded by the pipeline's lock. At most <see cref="MostWaiting"/> wait: a program that
/// starts more appends than that without awaiting one is told so.
/// </summary>
internal sealed class RoomQueue
{
    public const int MostWaiting = 65_536;

    private readonly Queue<RoomWaiter> _waiting = new();

    /// <summary>Records that wait; their sequences come before those of later ones.</summary>
    public ulong Records { get; private set; }

    public bool IsEmpty
    {
        get
        {
            DropGivenUp();
            return _waiting.Count == 0;
        }
    }

    public void Add(RoomWaiter waiter)
    {
        if (_waiting.Count >= MostWaiting)
        {
            throw new InvalidOperationException(
                $"{MostWaiting} appends wait for room already. Await the appends, or use EnqueueAsync and await it: it completes when there is room.");
        }
        _waiting.Enqueue(waiter);
        Records += waiter.Records;
    }

    public RoomWaiter? Peek()
    {
        DropGivenUp();
        return _waiting.TryPeek(out var waiter) ? waiter : null;
    }

    public void Take()
    {
        var waiter = _waiting.Dequeue();
        Records -= waiter.Records;
    }

    /// <summary>Somebody stopped waiting; his records no longer count.</summary>
    public void GiveUp(RoomWaiter waiter)
    {
        Records -= waiter.Records;
        waiter.Records = 0;
        waiter.HasGivenUp = true;
    }

    private void DropGivenUp()
    {
        while (_waiting.TryPeek(out var waiter) && waiter.HasGivenUp)
            _waiting.Dequeue();
    }
}

/// <summary>One that waits for room: a record, a batch that was filled apart, or (neither) a flush.</summary>
internal sealed class RoomWaiter(ReadOnlyMemory<byte> record, Batch? batch, ulong? sequence, ulong records, TaskCompletionSource<Placed> taken)
{
    public ReadOnlyMemory<byte> Record { get; } = record;
    public Batch? Batch { get; } = batch;
    public ulong? Sequence { get; } = sequence;
    public ulong Records { get; set; } = records;
    public bool IsFlush => Records == 0 && !HasGivenUp;
    public bool HasGivenUp { get; set; }

    /// <summary>Where it went, once it was taken; or why it never will be.</summary>
    public (Placed? Place, Exception? Failure) End { get; set; }

    public bool IsOver => End != default;

    /// <summary>Completes some time after <see cref="End"/> is set.</summary>
    public TaskCompletionSource<Placed> Taken { get; } = taken;
}

/// <summary>Where a record went.</summary>
internal readonly record struct Placed(Batch Batch, int Index);
