using Semel.Simulation.Kernel;

namespace Semel.Simulation.Checking;

/// <summary>Where a record is: the answer to its append.</summary>
/// <param name="Chunk">Index of the chunk in the file.</param>
/// <param name="Frame">Offset of the frame in the chunk.</param>
/// <param name="Index">Of the record in the frame.</param>
internal readonly record struct Place(ulong Chunk, uint Frame, int Index) : IComparable<Place>
{
    public int CompareTo(Place other) => (Chunk, Frame, Index).CompareTo((other.Chunk, other.Frame, other.Index));
    public override string ToString() => $"{Chunk}/{Frame}/{Index}";
}

/// <summary>What the applications were told, gathered while a run goes on. Answers that contradict each other fail the run at once.</summary>
internal sealed class History(SimulatedWorld world)
{
    private readonly SortedDictionary<string, FileHistory> _files = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, FileHistory> Files => _files;

    public long Acknowledged { get; private set; }

    public FileHistory File(string path)
    {
        if (!_files.TryGetValue(path, out var file))
            _files.Add(path, file = new FileHistory(path, this));
        return file;
    }

    internal SimulatedWorld World => world;
    internal void CountAcknowledged() => Acknowledged++;
}

internal sealed class FileHistory(string path, History history)
{
    private readonly SortedDictionary<string, WriterHistory> _writers = new(StringComparer.Ordinal);
    private readonly List<(Place Place, uint Crc)> _anonymous = [];

    public string Path => path;
    public IReadOnlyDictionary<string, WriterHistory> Writers => _writers;
    public List<TailHistory> Tails { get; } = [];

    /// <summary>Acknowledged appends of writers without a name.</summary>
    public IReadOnlyList<(Place Place, uint Crc)> Anonymous => _anonymous;
    internal History History => history;

    /// <summary>Appends that were acknowledged, each record of a named writer once.</summary>
    public long AcknowledgedRecords => _anonymous.Count + _writers.Values.Sum(writer => (long)writer.Acknowledged.Count);

    /// <summary>Where acknowledged records are, as far as their writers were told, and what is there.</summary>
    public IReadOnlyList<(Place Place, uint Crc)> AcknowledgedPlaces() =>
    [
        .. _anonymous,
        .. _writers.Values.SelectMany(writer => writer.Places.Select(p => (p.Value, Protocol.Checksums.Crc32C.Compute(writer.Content[p.Key])))),
    ];

    /// <summary>Writers without a name that number their records all the same.</summary>
    public SortedSet<ulong> PassingWriters { get; } = [];

    public WriterHistory Writer(string name, RecordContent content)
    {
        if (!_writers.TryGetValue(name, out var writer))
            _writers.Add(name, writer = new WriterHistory(this, name, content));
        return writer;
    }

    public void WasAcknowledged(Place place, ReadOnlySpan<byte> record)
    {
        history.CountAcknowledged();
        _anonymous.Add((place, Protocol.Checksums.Crc32C.Compute(record)));
    }

    public TailHistory StartTail(string reader)
    {
        var tail = new TailHistory(this, reader);
        Tails.Add(tail);
        return tail;
    }
}

/// <summary>A writer over all its incarnations.</summary>
internal sealed class WriterHistory(FileHistory file, string name, RecordContent content)
{
    private readonly SortedDictionary<ulong, Place> _places = [];
    private readonly SortedDictionary<uint, ulong> _lastOfEpoch = [];

    public string Name => name;
    public RecordContent Content => content;

    /// <summary>Records that may be in the file: the highest number that any incarnation ever sent.</summary>
    public ulong Sent { get; private set; }

    /// <summary>Records whose append was acknowledged.</summary>
    public SortedSet<ulong> Acknowledged { get; } = [];

    /// <summary>Of those, where the answer said that they are.</summary>
    public IReadOnlyDictionary<ulong, Place> Places => _places;

    /// <summary>Ranges that an incarnation appended as one: all of it is there in this epoch or nothing.</summary>
    public List<(uint Epoch, ulong First, int Count)> Batches { get; } = [];

    public void WillSend(uint epoch, ulong first, int count = 1)
    {
        Sent = Math.Max(Sent, first + (ulong)count - 1);
        if (count > 1)
            Batches.Add((epoch, first, count));
    }

    public void WasAcknowledged(uint epoch, ulong sequence, Place? place)
    {
        var world = file.History.World;
        if (sequence == 0 || sequence > Sent)
            world.Fail($"{file.Path}: writer {name} got an acknowledgement for record {sequence}, it sent {Sent}");
        if (Acknowledged.Add(sequence))
            file.History.CountAcknowledged();
        _lastOfEpoch[epoch] = Math.Max(_lastOfEpoch.GetValueOrDefault(epoch), sequence);
        if (place is not { } where)
            return;
        if (_places.TryGetValue(sequence, out var before) && before != where)
            world.Fail($"{file.Path}: record {sequence} of writer {name} was acknowledged at {before} and at {where}");
        _places[sequence] = where;
        world.Mark("ack", (long)sequence, (long)where.Chunk, where.Frame, where.Index);
    }

    /// <summary>An incarnation was told that this much is committed: everything up to it counts as acknowledged from now on. Newer incarnations may be ahead of it already.</summary>
    public void Resumed(uint epoch, ulong lastSequence)
    {
        if (lastSequence > Sent)
            file.History.World.Fail($"{file.Path}: writer {name} resumes in epoch {epoch} after record {lastSequence}, only {Sent} were ever sent");
        foreach (var (earlier, last) in _lastOfEpoch)
        {
            if (earlier < epoch && last > lastSequence)
                file.History.World.Fail($"{file.Path}: writer {name} resumes in epoch {epoch} after record {lastSequence}, but {last} was acknowledged in epoch {earlier}");
        }
        for (ulong sequence = 1; sequence <= lastSequence; sequence++)
            Acknowledged.Add(sequence);
    }
}

/// <summary>What one reader saw of a file, from its start, in order.</summary>
internal sealed class TailHistory(FileHistory file, string reader)
{
    public string Reader => reader;
    public List<(Place Place, uint Crc, int Length)> Records { get; } = [];

    public void Saw(Place place, ReadOnlySpan<byte> record)
    {
        if (Records.Count > 0 && Records[^1].Place.CompareTo(place) >= 0)
            file.History.World.Fail($"{file.Path}: reader {reader} saw {place} after {Records[^1].Place}");
        uint crc = Protocol.Checksums.Crc32C.Compute(record);
        Records.Add((place, crc, record.Length));
        file.History.World.Mark("saw", (long)place.Chunk, place.Frame, place.Index, crc);
    }
}
