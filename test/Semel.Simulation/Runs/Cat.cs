using Semel.Client;
using Semel.Protocol.Checksums;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>
/// An application that reads a file to its end, again and again. It may fail for as long as something is broken; but when it says that it
/// has read everything, then everything that was acknowledged before it began must have been there.
/// </summary>
internal sealed class Cat(SimulatedProcess process, IWire wire, string master, FileHistory file)
{
    /// <summary>A primary that is cut off from the master may say where the end was for that long.</summary>
    private static readonly TimeSpan Stale = Nodes.Lease * 1.5;

    private readonly SimulatedRandom _random = process.Random.Fork();
    private readonly SemelClient _client = new(wire, master, new SemelClientOptions(), process.Time, process.Random, new SimulatedLogging(process));

    /// <summary>For ever, with pauses.</summary>
    public async Task RunAsync()
    {
        while (true)
        {
            await Task.Delay(_random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(4)), process.Time);
            await TryOnceAsync();
        }
    }

    /// <summary>False: it ended with an error, and so promises nothing.</summary>
    public async Task<bool> TryOnceAsync()
    {
        var expected = file.AcknowledgedPlaces();
        long acknowledged = file.AcknowledgedRecords;
        await Task.Delay(Stale, process.Time);
        var found = new Dictionary<Place, uint>();
        try
        {
            await foreach (var record in _client.ReadRecordsAsync(file.Path))
                found[new Place(record.Position.ChunkIndex, record.Position.FrameOffset, record.Position.RecordIndex)] = Crc32C.Compute(record.Data.Span);
        }
        catch (Exception e) when (e is SemelException)
        {
            process.World.Reached("cat ended with an error");
            return false;
        }
        process.World.Reached("cat read to the end");
        if (found.Count < acknowledged)
            Fail($"says that it is at the end after {found.Count} records; {acknowledged} were acknowledged before it began");
        else if (expected.Where(e => !found.ContainsKey(e.Place)).ToList() is [var missed, ..] all)
            Fail($"read to the end and did not see the record at {missed.Place}, which was acknowledged before it began, nor {all.Count - 1} others");
        else if (expected.Where(e => found[e.Place] != e.Crc).ToList() is [var other, ..])
            Fail($"saw ANOTHER record at {other.Place} than the one that was acknowledged there before it began");
        return true;
    }

    private void Fail(string what) => process.World.Fail($"{file.Path}: cat by way of {master} {what}");
}
