using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.ChunkServer.Appending;

/// <summary>Where one batch of a writer is.</summary>
internal readonly record struct BatchPlace(ulong FirstSequence, uint RecordCount, uint PayloadCrc, ulong ChunkIndex, uint Offset, long TimeMs)
{
    public ulong LastSequence => FirstSequence + RecordCount - 1;
}

/// <summary>What the file remembers of one writer: its epoch, its last sequence, and where its last batches are.</summary>
internal sealed class WriterEntry
{
    /// <summary>Batches whose place is remembered. A client has fewer in flight, so a retry of any of them meets its result.</summary>
    public const int Window = 8;

    private BatchPlace[] _places = [];      // grows up to the window: most of the writers that a file knows are idle
    private int _oldest;

    public uint Epoch { get; private set; }

    /// <summary>Time of its last frame, milliseconds since 1970.</summary>
    public long LastActiveMs { get; private set; }

    /// <summary>The last sequenced record; 0: none.</summary>
    public ulong LastSequence { get; private set; }

    public int PlaceCount { get; private set; }

    /// <summary>0 is the oldest remembered batch.</summary>
    public BatchPlace Place(int index) => _places[(_oldest + index) % _places.Length];

    public BatchPlace? Newest => PlaceCount == 0 ? null : Place(PlaceCount - 1);

    /// <summary>Where its last INIT is; null: in a chunk before this one.</summary>
    public uint? InitOffset { get; private set; }

    public void Begin(uint epoch, long timeMs, uint initOffset) => (Epoch, LastActiveMs, InitOffset) = (epoch, timeMs, initOffset);

    public void Add(in BatchPlace place)
    {
        LastActiveMs = place.TimeMs;
        LastSequence = place.LastSequence;
        if (PlaceCount == Window)
        {
            _places[_oldest] = place;
            _oldest = (_oldest + 1) % Window;
            return;
        }
        if (PlaceCount == _places.Length)
            Array.Resize(ref _places, Math.Clamp(2 * PlaceCount, 1, Window));
        _places[PlaceCount++] = place;
    }

    /// <summary>The batch that holds the sequence, if it is remembered.</summary>
    public bool TryFind(ulong sequence, out BatchPlace place)
    {
        for (int i = PlaceCount - 1; i >= 0; i--)
        {
            place = Place(i);
            if (place.FirstSequence <= sequence && sequence <= place.LastSequence)
                return true;
        }
        place = default;
        return false;
    }

    /// <summary>The remembered batches up to a sequence, for whoever wants to compare; null: none.</summary>
    public WriterMemory? MemoryUpTo(ulong sequence)
    {
        var memory = new WriterMemory();
        for (int i = 0; i < PlaceCount && Place(i).LastSequence <= sequence; i++)
        {
            var place = Place(i);
            memory.Batches.Add(new RememberedBatch
            {
                FirstSequence = place.FirstSequence,
                RecordCount = place.RecordCount,
                ChunkIndex = place.ChunkIndex,
                Offset = place.Offset,
            });
        }
        return memory.Batches.Count == 0 ? null : memory;
    }

    internal void Restore(ulong lastSequence, uint epoch, long lastActiveMs) => (LastSequence, Epoch, LastActiveMs) = (lastSequence, epoch, lastActiveMs);
}

/// <summary>
/// The fold of a file's log that makes appends exactly once: who wrote what last. It is never written in the hot path: the operation
/// ids are in the frames, so a scan rebuilds it, equal logs give equal tables, and at a roll-over its bytes become the
/// next chunk's base.
/// </summary>
/// <remarks>
/// The base's bytes, little endian:
/// <code>
/// off size
///   0    4  magic 'S' 'B' 'A' '2'
///   4    4  number of writers
///   8    8  records in the file so far
///  16    8  bytes of those records, without their length prefixes
///  24    8  time of the last frame, milliseconds since 1970
///  32    8  highest id of a writer that was evicted; 0: none
///  40       writers in the order of their ids:
///           u64 id, u64 last sequence, u64 time of its last frame, u32 epoch, u32 places, then the places, oldest first:
///           u64 first sequence, u64 chunk index, u64 time, u32 record count, u32 payload CRC, u32 offset, u32 zero
/// </code>
/// An empty table of an empty file has no bytes at all. The digest of a base is the CRC32C of its bytes.
/// </remarks>
internal sealed class WriterTable
{
    private const uint Magic = 0x32414253;
    private const int HeaderBytes = 40;
    private const int WriterBytes = 32;
    private const int PlaceBytes = 40;

    private readonly Dictionary<WriterId, WriterEntry> _writers = [];

    public int Count => _writers.Count;

    /// <summary>Records in the file up to the fold's end.</summary>
    public ulong FileRecords { get; private set; }

    /// <summary>Bytes of those records, without their length prefixes.</summary>
    public ulong FilePayloadBytes { get; private set; }

    /// <summary>Time of the last frame.</summary>
    public long LastTimeMs { get; private set; }

    /// <summary>
    /// The highest id that was evicted; 0: none. Ids grow, so an unknown writer above it is new. One that is not above it may be a late echo of an evicted
    /// one, whose sequences would begin again: it is never taken in.
    /// </summary>
    public WriterId HighestEvicted { get; private set; }

    /// <summary>Writers whose last frame is from before the time, the longest idle first.</summary>
    public IReadOnlyList<(WriterId Writer, uint Epoch)> IdleSince(long timeMs, int atMost) =>
        [.. _writers.Where(w => w.Value.LastActiveMs < timeMs).OrderBy(w => w.Value.LastActiveMs).ThenBy(w => w.Key).Take(atMost).Select(w => (w.Key, w.Value.Epoch))];

    public bool TryGet(WriterId writer, [NotNullWhen(true)] out WriterEntry? entry) => _writers.TryGetValue(writer, out entry);

    /// <summary>Folds the next frame of the log in, which this server has made or has folded before.</summary>
    public void Apply(in FrameHeader frame, ulong chunkIndex)
    {
        string? fault = TryApply(frame, chunkIndex);
        Invariant.Holds(fault is null);
    }

    /// <summary>As the other, with a frame from outside: its checksums say nothing about its place in the story.</summary>
    /// <returns>Why it cannot follow, and nothing has changed; null: it was folded in.</returns>
    public string? TryApply(in FrameHeader frame, ulong chunkIndex)
    {
        string? fault = frame.Kind switch
        {
            FrameKind.Data => TryApplyData(frame, chunkIndex),
            FrameKind.InitWriter => TryApplyInit(frame),
            FrameKind.EvictWriter => TryApplyEviction(frame),
            _ => null,
        };
        if (fault is null)
            LastTimeMs = frame.TimeMs;
        return fault;
    }

    private string? TryApplyData(in FrameHeader frame, ulong chunkIndex)
    {
        if (frame.Writer != WriterId.Anonymous)
        {
            bool known = _writers.TryGetValue(frame.Writer, out var entry);
            if (!known || entry!.Epoch != frame.Epoch)
                return $"writer {frame.Writer} has not begun epoch {frame.Epoch}";
            if (frame.FirstSequence != entry!.LastSequence + 1)
                return $"writer {frame.Writer} has {entry.LastSequence} records, and this begins with number {frame.FirstSequence}";
            entry.Add(new BatchPlace(frame.FirstSequence, frame.RecordCount, frame.PayloadCrc, chunkIndex, frame.Offset, frame.TimeMs));
        }
        FileRecords += frame.RecordCount;
        FilePayloadBytes += frame.PayloadLength - (ulong)frame.RecordCount * RecordBatch.LengthPrefix;
        return null;
    }

    private string? TryApplyInit(in FrameHeader frame)
    {
        if (_writers.TryGetValue(frame.Writer, out var entry) ? frame.Epoch <= entry.Epoch : frame.Writer <= HighestEvicted)
            return $"writer {frame.Writer} cannot begin epoch {frame.Epoch} " + (entry is null ? "after it was forgotten" : $"after epoch {entry.Epoch}");
        if (entry is null)
            _writers[frame.Writer] = entry = new WriterEntry();
        entry.Begin(frame.Epoch, frame.TimeMs, frame.Offset);
        return null;
    }

    private string? TryApplyEviction(in FrameHeader frame)
    {
        if (!_writers.Remove(frame.Writer))
            return $"writer {frame.Writer} is forgotten, and was not known";
        if (frame.Writer > HighestEvicted)
            HighestEvicted = frame.Writer;
        return null;
    }

    /// <summary>The bytes that the next chunk starts from, after the SEAL.</summary>
    public byte[] ToBase() => ToBase(LastTimeMs);

    /// <summary>As the other, ahead of the SEAL, which will have this time.</summary>
    public byte[] ToBase(long sealTimeMs)
    {
        if (_writers.Count == 0 && FileRecords == 0 && HighestEvicted == default)
            return [];
        var ids = _writers.Keys.ToArray();
        Array.Sort(ids);
        int size = HeaderBytes;
        foreach (var id in ids)
            size += WriterBytes + _writers[id].PlaceCount * PlaceBytes;
        var bytes = new byte[size];
        var rest = bytes.AsSpan();
        BinaryPrimitives.WriteUInt32LittleEndian(rest, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(rest[4..], (uint)ids.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(rest[8..], FileRecords);
        BinaryPrimitives.WriteUInt64LittleEndian(rest[16..], FilePayloadBytes);
        BinaryPrimitives.WriteInt64LittleEndian(rest[24..], sealTimeMs);
        BinaryPrimitives.WriteUInt64LittleEndian(rest[32..], HighestEvicted.Value);
        rest = rest[HeaderBytes..];
        foreach (var id in ids)
        {
            var entry = _writers[id];
            BinaryPrimitives.WriteUInt64LittleEndian(rest, id.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(rest[8..], entry.LastSequence);
            BinaryPrimitives.WriteInt64LittleEndian(rest[16..], entry.LastActiveMs);
            BinaryPrimitives.WriteUInt32LittleEndian(rest[24..], entry.Epoch);
            BinaryPrimitives.WriteUInt32LittleEndian(rest[28..], (uint)entry.PlaceCount);
            rest = rest[WriterBytes..];
            for (int i = 0; i < entry.PlaceCount; i++)
            {
                var place = entry.Place(i);
                BinaryPrimitives.WriteUInt64LittleEndian(rest, place.FirstSequence);
                BinaryPrimitives.WriteUInt64LittleEndian(rest[8..], place.ChunkIndex);
                BinaryPrimitives.WriteInt64LittleEndian(rest[16..], place.TimeMs);
                BinaryPrimitives.WriteUInt32LittleEndian(rest[24..], place.RecordCount);
                BinaryPrimitives.WriteUInt32LittleEndian(rest[28..], place.PayloadCrc);
                BinaryPrimitives.WriteUInt32LittleEndian(rest[32..], place.Offset);
                rest = rest[PlaceBytes..];
            }
        }
        return bytes;
    }

    public static uint DigestOf(ReadOnlySpan<byte> baseBytes) => Crc32C.Compute(baseBytes);

    /// <summary>Reads a base. The bytes come from outside: every length is checked.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out WriterTable? table, [NotNullWhen(false)] out string? fault)
    {
        table = null;
        fault = null;
        var result = new WriterTable();
        if (bytes.IsEmpty)
        {
            table = result;
            return true;
        }
        if (bytes.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
        {
            fault = "this is no base of a chunk";
            return false;
        }
        uint writers = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        result.FileRecords = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        result.FilePayloadBytes = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
        result.LastTimeMs = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        result.HighestEvicted = new WriterId(BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]));
        var rest = bytes[HeaderBytes..];
        for (uint w = 0; w < writers; w++)
        {
            uint places = rest.Length < WriterBytes ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(rest[28..]);
            if (places > WriterEntry.Window || rest.Length < WriterBytes + places * PlaceBytes)
            {
                fault = $"writer {w} of {writers} is cut short";
                return false;
            }
            var id = new WriterId(BinaryPrimitives.ReadUInt64LittleEndian(rest));
            ulong last = BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]);
            long lastActive = BinaryPrimitives.ReadInt64LittleEndian(rest[16..]);
            uint epoch = BinaryPrimitives.ReadUInt32LittleEndian(rest[24..]);
            var entry = new WriterEntry();
            rest = rest[WriterBytes..];
            for (uint i = 0; i < places; i++)
            {
                entry.Add(new BatchPlace(
                    BinaryPrimitives.ReadUInt64LittleEndian(rest),
                    BinaryPrimitives.ReadUInt32LittleEndian(rest[24..]),
                    BinaryPrimitives.ReadUInt32LittleEndian(rest[28..]),
                    BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]),
                    BinaryPrimitives.ReadUInt32LittleEndian(rest[32..]),
                    BinaryPrimitives.ReadInt64LittleEndian(rest[16..])));
                rest = rest[PlaceBytes..];
            }
            entry.Restore(last, epoch, lastActive);
            if (!result._writers.TryAdd(id, entry))
            {
                fault = $"writer {id} comes twice";
                return false;
            }
        }
        if (!rest.IsEmpty)
        {
            fault = $"{rest.Length} bytes follow the last writer";
            return false;
        }
        table = result;
        return true;
    }
}
