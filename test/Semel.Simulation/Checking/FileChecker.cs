using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Checking;

/// <summary>
/// Compares a file with what its writers and readers were told:
/// <list type="number">
/// <item>Replicas of a chunk are byte-identical; all chunks but the last end in a SEAL; nothing follows a SEAL.</item>
/// <item>Each writer's records are there once, dense and in order, with its bytes; epochs only grow.</item>
/// <item>Each acknowledged record is there, at its place. What was not acknowledged is there once or not at all (by 2).</item>
/// <item>A batch is there as a whole, in one frame, or not at all.</item>
/// <item>Each reader saw exactly a prefix of the file, and in the end all of it.</item>
/// </list>
/// </summary>
internal sealed class FileChecker(SimulatedWorld world, FileHistory history, IReadOnlyDictionary<WriterId, string> writerNames)
{
    private readonly Dictionary<WriterId, Progress> _progress = [];
    private readonly List<(Place Place, uint Crc, int Length)> _records = [];
    private readonly SortedDictionary<(string Writer, ulong Sequence), (Place Place, uint Epoch)> _places = [];

    public FileHistory File => history;
    public long Records => _records.Count;

    /// <summary>Items 1 to 4.</summary>
    public void Check(FileImage image)
    {
        for (int i = 0; i < image.Chunks.Count; i++)
        {
            var chunk = image.Chunks[i];
            if (chunk.Index != (ulong)i)
                Fail($"chunk number {i} has index {chunk.Index}");
            CheckReplicas(chunk);
            if (chunk.Replicas.Count > 0)
                CheckFrames(chunk, isLast: i == image.Chunks.Count - 1);
        }
        foreach (var writer in history.Writers.Values)
            CheckWriter(writer);
        var found = _records.ToDictionary(r => r.Place, r => r.Crc);
        foreach (var (place, crc) in history.Anonymous)
        {
            if (!found.TryGetValue(place, out uint there))
                Fail($"a record without a writer was acknowledged at {place} and is LOST");
            else if (there != crc)
                Fail($"the record without a writer at {place} has other bytes than it was given");
        }
    }

    /// <summary>Item 5, when the readers have had time to see everything.</summary>
    public void CheckReaders()
    {
        foreach (var tail in history.Tails)
            CheckTail(tail);
    }

    private void CheckReplicas(ChunkImage chunk)
    {
        if (chunk.Replicas.Count == 0)
            Fail($"chunk {chunk.Index} ({chunk.Handle}) has no replica left");
        foreach (var replica in chunk.Replicas.Skip(1))
        {
            int different = chunk.Replicas[0].Committed.AsSpan().CommonPrefixLength(replica.Committed);
            if (different < Math.Max(chunk.Replicas[0].Committed.Length, replica.Committed.Length))
            {
                Fail($"chunk {chunk.Index} ({chunk.Handle}): {chunk.Replicas[0].Server} has {chunk.Replicas[0].Committed.Length} bytes, "
                    + $"{replica.Server} {replica.Committed.Length}; they differ from byte {different} on");
            }
        }
    }

    private void CheckFrames(ChunkImage chunk, bool isLast)
    {
        bool isSealed = false;
        long time = 0;
        var reader = new FrameReader(chunk.Replicas[0].Committed, 0, FrameHeader.ChainSeed(chunk.Handle));
        while (reader.Read())
        {
            var frame = reader.Header;
            if (isSealed)
                Fail($"chunk {chunk.Index}: a frame at {frame.Offset} follows the SEAL");
            if (frame.TimeMs < time)
                Fail($"chunk {chunk.Index}: time goes back at {frame.Offset}");
            time = frame.TimeMs;
            switch (frame.Kind)
            {
                case FrameKind.Data:
                    CheckData(chunk, frame, reader.Payload);
                    break;
                case FrameKind.InitWriter:
                    var progress = ProgressOf(frame.Writer);
                    if (frame.Epoch <= progress.Epoch)
                        Fail($"chunk {chunk.Index}: epoch {frame.Epoch} of writer {frame.Writer} at {frame.Offset} comes after epoch {progress.Epoch}");
                    progress.Epoch = frame.Epoch;
                    break;
                case FrameKind.Seal:
                    isSealed = true;
                    break;
            }
        }
        if (reader.Fault is not null)
            Fail($"chunk {chunk.Index} ({chunk.Handle}): {reader.Fault}");
        if (!isLast && !isSealed)
            Fail($"chunk {chunk.Index} ({chunk.Handle}) has no SEAL although another chunk follows it");
    }

    private void CheckData(ChunkImage chunk, in FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        string where = $"chunk {chunk.Index} at {frame.Offset}";
        bool anonymous = frame.Writer == WriterId.Anonymous;
        var progress = anonymous ? null : ProgressOf(frame.Writer);
        WriterHistory? writer = null;
        if (progress is not null)
        {
            if (frame.Epoch != progress.Epoch)
                Fail($"{where}: a frame of epoch {frame.Epoch} of writer {frame.Writer}, its epoch is {progress.Epoch}");
            if (frame.FirstSequence <= progress.Last)
                Fail($"{where}: record {frame.FirstSequence} of writer {frame.Writer} is there TWICE (the last one before was {progress.Last})");
            else if (frame.FirstSequence != progress.Last + 1)
                Fail($"{where}: record {frame.FirstSequence} of writer {frame.Writer} comes after {progress.Last}: a GAP");
            progress.Last = frame.LastSequence;
            if (!history.PassingWriters.Contains(frame.Writer.Value)
                && (!writerNames.TryGetValue(frame.Writer, out string? name) || !history.Writers.TryGetValue(name, out writer)))
                Fail($"{where}: nobody knows writer {frame.Writer}");
        }
        int index = 0;
        while (RecordBatch.TryTake(ref payload, out var record))
        {
            var place = new Place(chunk.Index, frame.Offset, index);
            _records.Add((place, Crc32C.Compute(record), record.Length));
            if (writer is not null)
            {
                ulong sequence = frame.FirstSequence + (ulong)index;
                _places.TryAdd((writer.Name, sequence), (place, frame.Epoch));
                if (sequence > writer.Sent)
                    Fail($"{where}: record {sequence} of writer {writer.Name} was never sent");
                else if (!record.SequenceEqual(writer.Content[sequence]))
                    Fail($"{where}: record {sequence} of writer {writer.Name} has other bytes than it was given");
            }
            index++;
        }
        if (index != frame.RecordCount || !payload.IsEmpty)
            Fail($"{where}: {frame.RecordCount} records are promised, {index} are there");
    }

    private void CheckWriter(WriterHistory writer)
    {
        foreach (ulong sequence in writer.Acknowledged)
        {
            if (!_places.ContainsKey((writer.Name, sequence)))
                Fail($"record {sequence} of writer {writer.Name} was acknowledged and is LOST");
        }
        foreach (var (sequence, place) in writer.Places)
        {
            if (_places.TryGetValue((writer.Name, sequence), out var found) && found.Place != place)
                Fail($"record {sequence} of writer {writer.Name} was acknowledged at {place} and is at {found.Place}");
        }
        foreach (var (epoch, first, count) in writer.Batches)
        {
            var places = new List<Place>();
            for (int i = 0; i < count; i++)
            {
                if (_places.TryGetValue((writer.Name, first + (ulong)i), out var found) && found.Epoch == epoch)
                    places.Add(found.Place);
            }
            if (places.Count > 0 && places.Count != count)
                Fail($"of the batch {first}+{count} of writer {writer.Name} in epoch {epoch} only {places.Count} records are there");
            for (int i = 1; i < places.Count; i++)
            {
                if (places[i] != places[0] with { Index = places[0].Index + i })
                    Fail($"the batch {first}+{count} of writer {writer.Name} in epoch {epoch} is not together: {places[0]} and {places[i]}");
            }
        }
    }

    private void CheckTail(TailHistory tail)
    {
        for (int i = 0; i < tail.Records.Count; i++)
        {
            if (i >= _records.Count)
            {
                Fail($"reader {tail.Reader} saw {tail.Records[i].Place}, which is not in the file");
                return;
            }
            if (tail.Records[i] != _records[i])
            {
                Fail($"reader {tail.Reader}: its record {i} was {tail.Records[i]}, in the file it is {_records[i]}");
                return;
            }
        }
        if (tail.Records.Count < _records.Count)
            Fail($"reader {tail.Reader} saw {tail.Records.Count} of {_records.Count} records");
    }

    private Progress ProgressOf(WriterId writer)
    {
        if (!_progress.TryGetValue(writer, out var progress))
            _progress.Add(writer, progress = new Progress());
        return progress;
    }

    private void Fail(string what) => world.Fail($"{history.Path}: {what}");

    private sealed class Progress
    {
        public uint Epoch { get; set; }
        public ulong Last { get; set; }
    }
}
