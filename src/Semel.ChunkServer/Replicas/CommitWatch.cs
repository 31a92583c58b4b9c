using Semel.Protocol.Identity;
using Semel.Protocol.Scheduling;

namespace Semel.ChunkServer.Replicas;

/// <summary>How far readers may read.</summary>
/// <param name="Committed">Everything below is committed and never changes.</param>
/// <param name="Sealed">Nothing comes after <paramref name="Committed"/>.</param>
/// <param name="PrimaryUntil">Timestamp up to which this replica is the active primary under its lease; 0: it is not.</param>
internal sealed record ReadBound(Ballot Ballot, uint Committed, bool Sealed, long PrimaryUntil);

/// <summary>Publishes the bound from the replica's loop to its readers, and wakes those that wait for it to move. Thread-safe.</summary>
internal sealed class CommitWatch(ReadBound bound)
{
    private readonly Lock _gate = new();
    private readonly List<(uint Offset, TaskCompletionSource Moved)> _waiting = []; // guarded by _gate
    private ReadBound _bound = bound;
    private bool _closed;                                                            // guarded by _gate

    public ReadBound Bound => Volatile.Read(ref _bound);

    /// <summary>Readers that may wait at one chunk; more are answered at once.</summary>
    private const int MaxWaiting = 4096;

    public void Publish(ReadBound bound)
    {
        List<TaskCompletionSource>? moved = null;
        lock (_gate)
        {
            Volatile.Write(ref _bound, bound);
            for (int i = _waiting.Count - 1; i >= 0; i--)
            {
                if (_waiting[i].Offset >= bound.Committed && !bound.Sealed)
                    continue;
                (moved ??= []).Add(_waiting[i].Moved);
                _waiting.RemoveAt(i);
            }
        }
        if (moved is null)
            return;
        foreach (var waiter in moved)
            waiter.TrySetResult();
    }

    /// <summary>The replica goes away: nobody waits any longer.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (var (_, moved) in _waiting)
                moved.TrySetResult();
            _waiting.Clear();
        }
    }

    /// <summary>Completes when something is committed beyond the offset, the chunk is sealed, or the time is up.</summary>
    public async Task WaitAsync(uint offset, TimeSpan atMost, TimeProvider time, CancellationToken cancellation)
    {
        var moved = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_closed || _bound.Committed > offset || _bound.Sealed || _waiting.Count >= MaxWaiting)
                return;
            _waiting.Add((offset, moved));
        }
        try
        {
            await moved.Task.WithinAsync(atMost, time, cancellation);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            lock (_gate)
                _waiting.Remove((offset, moved));
        }
    }
}
