namespace Semel.Client.Appending;

/// <summary>
/// A writer's closed batches that are not over, oldest first, and how far they have been sent to the present primary. Guarded by the pipeline's lock.
/// </summary>
internal sealed class UnackedBatches
{
    private Batch? _oldest;
    private Batch? _youngest;
    private Batch? _unsent;

    public Batch? Oldest => _oldest;

    public bool HasUnsent
    {
        get
        {
            SkipAcknowledged();
            return _unsent is not null;
        }
    }

    public void Add(Batch batch)
    {
        if (_youngest is null)
            _oldest = batch;
        else
            _youngest.Next = batch;
        _youngest = batch;
        _unsent ??= batch;
    }

    /// <summary>The oldest batch that was not sent since the last <see cref="Rewind"/>.</summary>
    public Batch? TakeUnsent()
    {
        SkipAcknowledged();
        var batch = _unsent;
        _unsent = batch?.Next;
        return batch;
    }

    /// <summary>Everything is to be sent again.</summary>
    public void Rewind() => _unsent = _oldest;

    /// <summary>Forgets what is acknowledged at the old end. A younger batch waits for the older ones.</summary>
    public void DropAcknowledged()
    {
        while (_oldest is { IsAcknowledged: true })
        {
            if (_unsent == _oldest)
                _unsent = _oldest.Next;
            _oldest = _oldest.Next;
        }
        if (_oldest is null)
            _youngest = null;
    }

    private void SkipAcknowledged()
    {
        while (_unsent is { IsAcknowledged: true })
            _unsent = _unsent.Next;
    }
}
