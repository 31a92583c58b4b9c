using System.Threading.Channels;

namespace Semel.Tests.Storage.Journals;

/// <summary>Holds every flush of a segment until the test lets it go.</summary>
internal sealed class FlushGate
{
    private readonly Channel<TaskCompletionSource> _flushes = Channel.CreateUnbounded<TaskCompletionSource>();

    public FlushGate(WatchedDisk disk) => disk.BeforeFlush = name =>
    {
        if (!name.EndsWith(".log", StringComparison.Ordinal))
            return Task.CompletedTask;
        var flush = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _flushes.Writer.TryWrite(flush);
        return flush.Task;
    };

    public int Waiting => _flushes.Reader.Count;

    /// <summary>The next flush, when it has begun; it goes on when the test completes what this returns.</summary>
    public async Task<TaskCompletionSource> NextAsync() => await _flushes.Reader.ReadAsync();
}
