using Semel.Client;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>An application that opens a writer without a name for a few records at a time, again and again: the file soon knows as many as it may.</summary>
internal sealed class PassingWriters(SimulatedProcess process, IWire wire, string master, FileHistory file, RunPlan plan, Func<bool> isHealed)
{
    public async Task RunAsync()
    {
        var client = new SemelClient(wire, master, new SemelClientOptions(), process.Time, process.Random, new SimulatedLogging(process));
        var random = process.Random.Fork();
        int largest = Math.Min(plan.MaxRecordLength, (int)plan.Shape.ChunkCapacity / 4);
        for (int left = plan.RecordsPerWriter; left > 0;)
        {
            var writer = await OpenAsync(client);
            file.PassingWriters.Add(writer.WriterId);
            for (int i = Math.Min(left, 1 + random.Below(5)); i > 0; i--, left--)
            {
                byte[] record = new byte[random.Below(largest + 1)];
                random.NextBytes(record);
                if (await AppendAsync(writer, record) is not { } result)
                    break;
                if (result.Position is { } at)
                    file.WasAcknowledged(new Place(at.ChunkIndex, at.FrameOffset, at.RecordIndex), record);
                if (plan.ThinkTime > TimeSpan.Zero && !isHealed())
                    await Task.Delay(random.Between(TimeSpan.Zero, plan.ThinkTime * 2), process.Time);
            }
            // Some are left as if their process had died.
            if (random.OneIn(5))
                process.World.Reached("a passing writer was left behind");
            else
                await writer.DisposeAsync();
        }
    }

    /// <summary>Null: the file has forgotten the writer meanwhile, as it may.</summary>
    private async Task<AppendResult?> AppendAsync(RecordWriter writer, byte[] record)
    {
        try
        {
            return await writer.AppendAsync(record);
        }
        catch (SemelException e) when (e is WriterExpiredException || e.InnerException is WriterExpiredException)
        {
            process.World.Reached("a passing writer was forgotten");
            return null;
        }
    }

    private async Task<RecordWriter> OpenAsync(SemelClient client)
    {
        while (true)
        {
            try
            {
                return await client.OpenWriterAsync(file.Path);
            }
            catch (Exception e) when (e is DeadlineExceededException or ClusterUnavailableException or TooManyWritersException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), process.Time);
            }
        }
    }
}
