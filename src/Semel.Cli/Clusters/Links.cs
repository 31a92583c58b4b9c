namespace Semel.Cli.Clusters;

/// <summary>
/// What may pass between the nodes of a cluster whose connections all run through <see cref="LinkProxy"/>: a link for each ordered pair. Several faults may lie on
/// one link; it is whole again when all have gone.
/// </summary>
internal sealed class Links(int nodes)
{
    private readonly Link[] _links = [.. Enumerable.Range(0, nodes * nodes).Select(_ => new Link())];

    /// <summary>What <paramref name="from"/> says to <paramref name="to"/>.</summary>
    public Link Of(int from, int to) => _links[(from * nodes) + to];

    /// <summary>One direction between two nodes.</summary>
    internal sealed class Link
    {
        private readonly Lock _gate = new();   // guards all fields
        private readonly HashSet<TaskCompletionSource> _cuts = [];
        private TimeSpan _delay;

        /// <summary>Nothing passes until the result is disposed; what was sent meanwhile passes then, as on a real network.</summary>
        public IDisposable Cut()
        {
            var cut = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
                _cuts.Add(cut);
            return new Ending(() =>
            {
                lock (_gate)
                    _cuts.Remove(cut);
                cut.TrySetResult();
            });
        }

        /// <summary>Everything is late by this much until the result is disposed.</summary>
        public IDisposable Delay(TimeSpan delay)
        {
            lock (_gate)
                _delay += delay;
            return new Ending(() =>
            {
                lock (_gate)
                    _delay -= delay;
            });
        }

        /// <summary>Completes when bytes that arrived now may go on.</summary>
        public async ValueTask PassAsync(TimeProvider time, CancellationToken cancellation)
        {
            TimeSpan delay;
            lock (_gate)
                delay = _delay;
            if (delay > TimeSpan.Zero)
                await Task.Delay(delay, time, cancellation);
            while (FirstCut() is { } cut)
                await cut.WaitAsync(cancellation);
        }

        private Task? FirstCut()
        {
            lock (_gate)
                return _cuts.FirstOrDefault()?.Task;
        }
    }

    private sealed class Ending(Action end) : IDisposable
    {
        private Action? _end = end;

        public void Dispose() => Interlocked.Exchange(ref _end, null)?.Invoke();
    }
}
