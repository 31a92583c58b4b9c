using System.Buffers.Binary;
using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>Follows a file from its start and notes how long each record took from the start of its append to here.</summary>
internal sealed class TailReader(string master, string path, long records, TimeProvider time)
{
    private readonly Dictionary<ulong, ulong> _lastSequences = [];

    public LatencyHistogram EndToEnd { get; } = new();

    /// <summary>Not null: what was wrong with the records.</summary>
    public string? Fault { get; private set; }

    /// <summary>Until all records have come, or one that must not.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        await using var client = SemelClient.Connect(master);
        long found = 0;
        await foreach (var record in client.ReadRecordsAsync(path, new ReadOptions { Follow = true }, cancellation))
        {
            EndToEnd.Add(time.GetElapsedTime(BinaryPrimitives.ReadInt64LittleEndian(record.Data.Span)).Ticks);
            ulong last = _lastSequences.GetValueOrDefault(record.WriterId);
            if (record.Sequence != last + 1)
            {
                Fault = $"after sequence {last} of writer {record.WriterId} comes {record.Sequence} at {record.Position}";
                return;
            }
            _lastSequences[record.WriterId] = record.Sequence;
            if (++found == records)
                return;
        }
    }
}
