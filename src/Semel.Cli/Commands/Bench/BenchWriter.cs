using System.Buffers.Binary;
using System.Threading.Channels;
using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>
/// One writer. In the closed loop a number of appends is under way, and when the oldest is acknowledged the next one starts. In the open loop somebody else
/// says when an append starts (<see cref="Start"/>), and its latency counts from when it was due. Appends are awaited without a token: a token costs an object per record.
/// </summary>
internal sealed class BenchWriter(RecordWriter writer, string path, long records, BenchOptions options, TimeProvider time) : IAsyncDisposable
{
    private readonly byte[] _record = PayloadOf(options.Size);
    private readonly ReadOnlyMemory<byte>[] _batch = new ReadOnlyMemory<byte>[options.Batch];
    private readonly Channel<UnderWay> _started = Channel.CreateUnbounded<UnderWay>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });   // at most `records`
    private long _left = records;
    private long _acknowledged;

    private readonly record struct UnderWay(ValueTask<AppendResult> Append, int Records, long Begin);

    public string Path { get; } = path;
    public ulong WriterId => writer.WriterId;
    public long Acknowledged => Volatile.Read(ref _acknowledged);

    /// <summary>From the start of each append, or in the open loop from when it was due, to its acknowledgement.</summary>
    public LatencyHistogram Latencies { get; } = new();

    /// <summary>What every record of this size contains, but for its stamp.</summary>
    public static byte[] PayloadOf(int size)
    {
        var payload = new byte[size];
        new Random(size).NextBytes(payload);
        return payload;
    }

    /// <summary>The closed loop, until all records are acknowledged, or what is under way after <paramref name="enough"/>.</summary>
    public async Task RunAsync(CancellationToken enough = default)
    {
        var underWay = new Queue<UnderWay>(options.InFlight);
        while (true)
        {
            while (_left > 0 && underWay.Count < options.InFlight && !enough.IsCancellationRequested)
                underWay.Enqueue(Begin(time.GetTimestamp()));
            if (!underWay.TryDequeue(out var oldest))
                return;
            await AcknowledgeAsync(oldest);
        }
    }

    /// <summary>The open loop: starts the next append, which was due at the timestamp. False: it was the last.</summary>
    public bool Start(long due)
    {
        _started.Writer.TryWrite(Begin(due));
        if (_left > 0)
            return true;
        _started.Writer.Complete();
        return false;
    }

    /// <summary>The open loop: until all that is started is acknowledged.</summary>
    public async Task CompleteAsync()
    {
        await foreach (var append in _started.Reader.ReadAllAsync())
            await AcknowledgeAsync(append);
    }

    public ValueTask DisposeAsync() => writer.DisposeAsync();

    private UnderWay Begin(long begin)
    {
        int records = (int)Math.Min(_left, options.Batch);
        _left -= records;
        if (options.Readers > 0)
            BinaryPrimitives.WriteInt64LittleEndian(_record, begin);
        return new UnderWay(options.Batch == 1 ? writer.AppendAsync(_record) : AppendBatchAsync(records), records, begin);
    }

    private async ValueTask<AppendResult> AppendBatchAsync(int records)
    {
        Array.Fill(_batch, _record);
        return (await writer.AppendBatchAsync(_batch.AsMemory(0, records).ToArray()))[^1];
    }

    private async ValueTask AcknowledgeAsync(UnderWay oldest)
    {
        await oldest.Append;
        Latencies.Add(time.GetElapsedTime(oldest.Begin).Ticks);
        Volatile.Write(ref _acknowledged, _acknowledged + oldest.Records);
    }
}
