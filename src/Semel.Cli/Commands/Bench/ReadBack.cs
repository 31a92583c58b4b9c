using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>Compares what is in the files with what was acknowledged.</summary>
internal sealed class ReadBack(SemelClient client, BenchOptions options)
{
    private readonly byte[] _expected = BenchWriter.PayloadOf(options.Size);
    private readonly int _unstamped = options.Readers > 0 ? BenchOptions.StampBytes : 0;

    /// <summary>Null: exactly the acknowledged records are there (with at-least-once: at least these).</summary>
    public async Task<string?> FaultOfAsync(string[] paths, BenchWriter[] writers, CancellationToken cancellation)
    {
        foreach (string path in paths)
        {
            var fault = await FaultOfFileAsync(path, [.. writers.Where(w => w.Path == path)], cancellation);
            if (fault is not null)
                return $"{path}: {fault}";
        }
        return null;
    }

    private async Task<string?> FaultOfFileAsync(string path, BenchWriter[] writers, CancellationToken cancellation)
    {
        var lastSequences = writers.Select(w => w.WriterId).Distinct().ToDictionary(id => id, _ => 0UL);
        long found = 0;
        await foreach (var record in client.ReadRecordsAsync(path, cancellationToken: cancellation))
        {
            found++;
            if (record.Data.Length != _expected.Length || !record.Data.Span[_unstamped..].SequenceEqual(_expected.AsSpan(_unstamped)))
                return $"the record at {record.Position} is not what was appended";
            if (options.Delivery is Delivery.AtLeastOnce)
                continue;
            if (!lastSequences.TryGetValue(record.WriterId, out ulong last))
                return $"the record at {record.Position} is of the unknown writer {record.WriterId}";
            if (record.Sequence != last + 1)
                return $"after sequence {last} of writer {record.WriterId} comes {record.Sequence} at {record.Position}";
            lastSequences[record.WriterId] = record.Sequence;
        }
        long acknowledged = writers.Sum(w => w.Acknowledged);
        if (options.Delivery is Delivery.AtLeastOnce)
            return found >= acknowledged ? null : $"{acknowledged} records were acknowledged, {found} are there";
        foreach (var writer in writers)
        {
            if (lastSequences[writer.WriterId] != (ulong)writer.Acknowledged)
                return $"{writer.Acknowledged} records of writer {writer.WriterId} were acknowledged, {lastSequences[writer.WriterId]} are there";
        }
        return null;
    }
}
