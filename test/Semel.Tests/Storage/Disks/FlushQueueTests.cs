using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.Disks;

public sealed class FlushQueueTests
{
    private readonly SemaphoreSlim _begun = new(0), _mayEnd = new(0);
    private readonly Queue<IOException?> _outcomes = new();
    private int _runs, _atOnce, _mostAtOnce;

    private FlushQueue NewQueue() => new("a file", new FlushThreads(), () =>
    {
        Interlocked.Increment(ref _runs);
        _mostAtOnce = Math.Max(_mostAtOnce, Interlocked.Increment(ref _atOnce));
        _begun.Release();
        _mayEnd.Wait();
        Interlocked.Decrement(ref _atOnce);
        if (_outcomes.TryDequeue(out var outcome) && outcome is not null)
            throw outcome;
    });

    [Fact]
    public async Task One_runs_at_a_time_and_takes_all_along_that_wait()
    {
        var queue = NewQueue();
        var first = queue.FlushAsync().AsTask();
        await _begun.WaitAsync(TestContext.Current.CancellationToken);
        var later = Enumerable.Range(0, 5).Select(_ => queue.FlushAsync().AsTask()).ToArray();
        Assert.False(await _begun.WaitAsync(TimeSpan.FromMilliseconds(20), TestContext.Current.CancellationToken), "a second one began beside the first");
        _mayEnd.Release();
        await first;
        await _begun.WaitAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain(later, flush => flush.IsCompleted);

        _mayEnd.Release();
        await Task.WhenAll(later);

        Assert.Equal((2, 1), (_runs, _mostAtOnce));
    }

    [Fact]
    public async Task After_a_failure_all_fail_also_those_that_waited()
    {
        var queue = NewQueue();
        _outcomes.Enqueue(new IOException("lost"));
        var first = queue.FlushAsync().AsTask();
        await _begun.WaitAsync(TestContext.Current.CancellationToken);
        var waiting = queue.FlushAsync().AsTask();
        _mayEnd.Release();

        Assert.Equal("lost", (await Assert.ThrowsAsync<IOException>(() => first)).Message);
        Assert.Contains("An earlier flush of a file failed", (await Assert.ThrowsAsync<IOException>(() => waiting)).Message, StringComparison.Ordinal);
        Assert.Contains("An earlier flush of a file failed", (await Assert.ThrowsAsync<IOException>(() => queue.FlushAsync().AsTask())).Message, StringComparison.Ordinal);
        Assert.Equal(1, _runs);
    }
}
