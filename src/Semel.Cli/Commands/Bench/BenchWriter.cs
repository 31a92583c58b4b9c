using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>One writer of the closed loop: a number of appends under way; when the oldest is acknowledged, the next one starts.</summary>
internal sealed class BenchWriter(RecordWriter writer, string path, long records, BenchOptions options, TimeProvider time) : IAsyncDisposable
{
    private readonly ReadOnlyMemory<byte> _record = PayloadOf(options.Size);
    private long _acknowledged;

    public string Path { get; } = path;
    public ulong WriterId => writer.WriterId;
    public long Records { get; } = records;
    public long Acknowledged => Interlocked.Read(ref _acknowledged);
    public LatencyHistogram Latencies { get; } = new();

    /// <summary>What every record of this size contains.</summary>
    public static byte[] PayloadOf(int size)
    {
        var payload = new byte[size];
        new Random(size).NextBytes(payload);
        return payload;
    }

    public Task RunAsync(CancellationToken cancellation) =>
        options.Batch == 1 ? AppendRecordsAsync(Records, CancellationToken.None, cancellation) : AppendBatchesAsync(Records, CancellationToken.None, cancellation);

    /// <summary>Appends until <paramref name="enough"/>, then waits for what is under way.</summary>
    public Task RunUntilAsync(CancellationToken enough, CancellationToken cancellation) =>
        options.Batch == 1 ? AppendRecordsAsync(long.MaxValue, enough, cancellation) : AppendBatchesAsync(long.MaxValue, enough, cancellation);

    public ValueTask DisposeAsync() => writer.DisposeAsync();

    private async Task AppendRecordsAsync(long count, CancellationToken enough, CancellationToken cancellation)
    {
        var underWay = new Queue<(ValueTask<AppendResult> Append, long Begin)>(options.InFlight);
        while ((count > 0 && !enough.IsCancellationRequested) || underWay.Count > 0)
        {
            if (count > 0 && underWay.Count < options.InFlight && !enough.IsCancellationRequested)
            {
                long begin = time.GetTimestamp();
                underWay.Enqueue((writer.AppendAsync(_record, cancellation), begin));
                count--;
                continue;
            }
            var (append, started) = underWay.Dequeue();
            await append;
            Note(started, 1);
        }
    }

    private async Task AppendBatchesAsync(long count, CancellationToken enough, CancellationToken cancellation)
    {
        var batch = Enumerable.Repeat(_record, options.Batch).ToArray();
        var underWay = new Queue<(ValueTask<IReadOnlyList<AppendResult>> Append, int Records, long Begin)>(options.InFlight);
        while ((count > 0 && !enough.IsCancellationRequested) || underWay.Count > 0)
        {
            if (count > 0 && underWay.Count < options.InFlight && !enough.IsCancellationRequested)
            {
                int size = (int)Math.Min(count, batch.Length);
                long begin = time.GetTimestamp();
                underWay.Enqueue((writer.AppendBatchAsync(size == batch.Length ? batch : batch[..size], cancellation), size, begin));
                count -= size;
                continue;
            }
            var (append, appended, started) = underWay.Dequeue();
            await append;
            Note(started, appended);
        }
    }

    private void Note(long begin, int appended)
    {
        Latencies.Add(time.GetElapsedTime(begin).Ticks);
        Interlocked.Add(ref _acknowledged, appended);
    }
}
