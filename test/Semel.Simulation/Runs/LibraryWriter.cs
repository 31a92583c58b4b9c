using Semel.Client;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>An application that appends with the client library: opens its writer by name, goes on after the last committed record. One incarnation.</summary>
internal sealed class LibraryWriter(SimulatedProcess process, IWire wire, string master, string path, WriterHistory history, RunPlan plan) : IRunWriter
{
    private readonly SimulatedRandom _random = process.Random.Fork();
    private readonly Queue<Task> _inFlight = new();

    public bool IsFenced { get; private set; }

    public async Task RunAsync()
    {
        var client = new SemelClient(wire, master, new SemelClientOptions(), process.Time, process.Random, new SimulatedLogging(process));
        try
        {
            var writer = await OpenAsync(client);
            history.Resumed(writer.Epoch, writer.LastSequence);
            await AppendAllAsync(writer, writer.LastSequence + 1);
            await writer.DisposeAsync();
        }
        catch (SemelException e) when (IsFence(e))
        {
            IsFenced = true;
            foreach (var doomed in _inFlight)
                await EndOf(doomed);
        }
        await client.DisposeAsync();
    }

    private async Task<RecordWriter> OpenAsync(SemelClient client)
    {
        var options = new WriterOptions
        {
            Name = history.Name,
            MaxInFlightBatches = 1 + _random.Below(WriterOptions.MostInFlightBatches),
            BytesWorthAMessage = 1 << (8 * _random.Below(3)),
            MaxBatchBytes = 4096 << _random.Below(4),
            MaxBufferedBytes = 64 << 10 << _random.Below(4),
        };
        while (true)
        {
            try
            {
                return await client.OpenWriterAsync(path, options);
            }
            catch (Exception e) when (e is DeadlineExceededException or ClusterUnavailableException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), process.Time);
            }
        }
    }

    private async Task AppendAllAsync(RecordWriter writer, ulong next)
    {
        while (next <= (ulong)plan.RecordsPerWriter || _inFlight.Count > 0)
        {
            if (next > (ulong)plan.RecordsPerWriter || _inFlight.Count >= plan.Window)
            {
                await _inFlight.Dequeue();
                continue;
            }
            int count = plan.BatchOneIn > 0 && _random.OneIn(plan.BatchOneIn) ? (int)Math.Min(2 + (ulong)_random.Below(4), (ulong)plan.RecordsPerWriter - next + 1) : 1;
            var records = new List<ReadOnlyMemory<byte>>();
            int bytes = 0;
            for (int i = 0; i < count && (i == 0 || bytes + history.Content[next + (ulong)i].Length < 4000); i++)
            {
                records.Add(history.Content[next + (ulong)i]);
                bytes += records[^1].Length;
            }
            history.WillSend(writer.Epoch, next, records.Count);
            _inFlight.Enqueue(records.Count == 1 ? AppendAsync(writer, next, records[0]) : AppendBatchAsync(writer, next, records));
            next += (ulong)records.Count;
            if (plan.ThinkTime > TimeSpan.Zero)
                await Task.Delay(_random.Between(TimeSpan.Zero, plan.ThinkTime * 2), process.Time);
        }
    }

    private static async Task EndOf(Task doomed)
    {
        try
        {
            await doomed;
        }
        catch (SemelException e) when (IsFence(e))
        {
        }
    }

    private static bool IsFence(SemelException e) => e is WriterFencedException or AppendInDoubtException { InnerException: WriterFencedException };

    private async Task AppendAsync(RecordWriter writer, ulong sequence, ReadOnlyMemory<byte> record)
    {
        var result = await Unfenced(writer.AppendAsync(record).AsTask());
        Took(sequence, result);
    }

    private async Task AppendBatchAsync(RecordWriter writer, ulong first, List<ReadOnlyMemory<byte>> records)
    {
        var results = await Unfenced(writer.AppendBatchAsync(records).AsTask());
        for (int i = 0; i < results.Count; i++)
            Took(first + (ulong)i, results[i]);
    }

    private void Took(ulong sequence, AppendResult result)
    {
        if (result.Sequence != sequence)
            process.World.Fail($"{path}: writer {history.Name} appended record {sequence}, the library called it {result.Sequence}");
        history.WasAcknowledged(result.Operation.Epoch, sequence, result.Position is { } at ? new Place(at.ChunkIndex, at.FrameOffset, at.RecordIndex) : null);
    }

    /// <summary>A later append must not fail the run because an earlier one of the same incarnation was told first that it is fenced.</summary>
    private async Task<T> Unfenced<T>(Task<T> append)
    {
        try
        {
            return await append;
        }
        catch (SemelException e) when (IsFence(e))
        {
            IsFenced = true;
            throw;
        }
    }
}
