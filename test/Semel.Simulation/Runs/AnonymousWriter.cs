using Semel.Client;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>An application that appends at least once: what is acknowledged is there; what was repeated may be there more than once.</summary>
internal sealed class AnonymousWriter(SimulatedProcess process, IWire wire, string master, FileHistory file, RunPlan plan)
{
    public async Task RunAsync()
    {
        var client = new SemelClient(wire, master, new SemelClientOptions(), process.Time, process.Random, new SimulatedLogging(process));
        var writer = await OpenAsync(client);
        var random = process.Random.Fork();
        int largest = Math.Min(plan.MaxRecordLength, (int)plan.Shape.ChunkCapacity / 4);
        for (int i = 0; i < plan.RecordsPerWriter; i++)
        {
            byte[] record = new byte[random.Below(largest + 1)];
            random.NextBytes(record);
            var result = await writer.AppendAsync(record);
            if (result.Position is { } at)
                file.WasAcknowledged(new Place(at.ChunkIndex, at.FrameOffset, at.RecordIndex), record);
            else
                process.World.Fail($"{file.Path}: an append without a writer was acknowledged without a position");
            if (plan.ThinkTime > TimeSpan.Zero)
                await Task.Delay(random.Between(TimeSpan.Zero, plan.ThinkTime * 2), process.Time);
        }
    }

    private async Task<RecordWriter> OpenAsync(SemelClient client)
    {
        while (true)
        {
            try
            {
                return await client.OpenWriterAsync(file.Path, new WriterOptions { Delivery = Delivery.AtLeastOnce });
            }
            catch (Exception e) when (e is DeadlineExceededException or ClusterUnavailableException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), process.Time);
            }
        }
    }
}
