using Semel.Client;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>
/// An application that follows a file with the client library, and goes on after its last record when something fails. What it needs may be gone for good (then the run's end
/// decides whether that was right), so nothing but a wrong record ever stops it.
/// </summary>
internal sealed class LibraryReader(SimulatedProcess process, IWire wire, string master, string path, TailHistory history)
{
    private readonly SemelClient _client = new(
        wire, master, new SemelClientOptions { ReadBlockBytes = 4096 << process.Random.Fork().Below(6) }, process.Time, process.Random, new SimulatedLogging(process));

    public async Task RunAsync()
    {
        var from = RecordPosition.Start;
        while (true)
        {
            try
            {
                await foreach (var record in _client.ReadRecordsAsync(path, new ReadOptions { From = from, Follow = true }))
                {
                    history.Saw(PlaceOf(record), record.Data.Span);
                    from = record.Position.Next;
                }
            }
            catch (Exception e) when (e is DeadlineExceededException or ClusterUnavailableException or CorruptDataException or InvalidPositionException)
            {
                process.World.Reached("reader began again");
                await Task.Delay(TimeSpan.FromMilliseconds(50), process.Time);
            }
        }
    }

    /// <summary>Reads from the start to where the file ends now.</summary>
    public async Task<long> CountToEndAsync()
    {
        while (true)
        {
            try
            {
                long count = 0;
                await foreach (var record in _client.ReadRecordsAsync(path))
                {
                    history.Saw(PlaceOf(record), record.Data.Span);
                    count++;
                }
                return count;
            }
            catch (Exception e) when (e is DeadlineExceededException or ClusterUnavailableException or CorruptDataException or InvalidPositionException)
            {
                history.Records.Clear();
                await Task.Delay(TimeSpan.FromMilliseconds(50), process.Time);
            }
        }
    }

    private static Place PlaceOf(SemelRecord record) => new(record.Position.ChunkIndex, record.Position.FrameOffset, record.Position.RecordIndex);
}
