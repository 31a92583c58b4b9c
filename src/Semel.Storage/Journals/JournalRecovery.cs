using Microsoft.Extensions.Logging;
using Semel.Protocol.Checksums;
using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>A segment that exists, and the number of the first entry that it has or will have.</summary>
internal readonly record struct Segment(ulong Number, ulong FirstEntry);

/// <summary>
/// Opens what is there, in these steps:
/// <list type="number">
/// <item>Find the segments; remove one whose creation was not finished.</item>
/// <item>Replay the entries of each, in order; refuse damage that no crash explains.</item>
/// <item>Cut the last segment behind its last entry: what is there is torn, or zeros.</item>
/// <item>Write its last group once more and flush: what was read may have been in the page cache only, and must not be lost after others saw it.</item>
/// </list>
/// Writing again is for a flush that failed: the kernel then takes the pages for clean, and another flush would not write them.
/// </summary>
internal sealed class JournalRecovery(IDisk disk, string directory, Action<ulong, ReadOnlyMemory<byte>> replay, ILogger logger)
{
    private readonly List<Segment> _segments = [];
    private ulong _next = 1;
    private long _lastGroup;   // where the last group that was read begins in its segment

    /// <summary>The segments, oldest first; none when the journal is new.</summary>
    public IReadOnlyList<Segment> Segments => _segments;

    /// <summary>The number of the next entry.</summary>
    public ulong NextEntry => _next;

    /// <summary>Entries that were replayed.</summary>
    public ulong Entries { get; private set; }

    /// <summary>The last segment, open; null when there is none.</summary>
    public IDiskFile? Tail { get; private set; }

    /// <summary>Where the next entry goes in <see cref="Tail"/>.</summary>
    public long TailOffset { get; private set; }

    public async ValueTask RunAsync()
    {
        // Step 1.
        var numbers = FindSegments();
        if (numbers.Count > 0 && TryRemoveUnfinished(numbers[^1], only: numbers.Count == 1))
            numbers.RemoveAt(numbers.Count - 1);

        try
        {
            // Step 2.
            foreach (ulong number in numbers)
            {
                Tail?.Dispose();
                Tail = disk.Open(PathOf(number), create: false);
                ReadSegment(number, Tail, last: number == numbers[^1]);
            }

            // Steps 3 and 4.
            if (Tail is not null)
            {
                Tail.SetLength(TailOffset);
                WriteAgain(Tail);
                await Tail.FlushAsync();
            }
            await disk.FlushDirectoryAsync(directory);
        }
        catch
        {
            Tail?.Dispose();
            throw;
        }
    }

    private List<ulong> FindSegments()
    {
        var numbers = new List<ulong>();
        foreach (string name in disk.ListFiles(directory))
        {
            if (!SegmentHeader.TryParseName(name, out ulong number))
                continue;
            if (numbers.Count > 0 && number != numbers[^1] + 1)
                throw new JournalCorruptException(PathOf(numbers[^1] + 1), 0, $"it is missing, although {name} and an earlier segment are there");
            numbers.Add(number);
        }
        return numbers;
    }

    /// <summary>
    /// A header is durable before the first entry is written, so a segment with a bad header and nothing behind it was never used. It can be the only
    /// one when it is the very first; otherwise nobody would know the number of the next entry.
    /// </summary>
    private bool TryRemoveUnfinished(ulong number, bool only)
    {
        using (var file = disk.Open(PathOf(number), create: false))
        {
            var reader = new SegmentReader(file);
            if (SegmentHeader.TryRead(reader.Read(0, SegmentHeader.Size).Span, out _, out uint newer, out string? fault) || newer != 0)
                return false;
            if (!reader.IsZeroFrom(SegmentHeader.Size) || (only && number != 1))
                return false;
            logger.UnfinishedSegmentRemoved(PathOf(number), fault);
        }
        disk.Delete(PathOf(number));
        return true;
    }

    private void ReadSegment(ulong number, IDiskFile file, bool last)
    {
        var reader = new SegmentReader(file);
        var header = ReadHeader(number, reader);
        if (_segments.Count == 0)
            _next = header.FirstEntry;
        else if (header.FirstEntry != _next)
            throw Corrupt(number, 0, $"it begins with entry {header.FirstEntry}, the segment before it ends before entry {_next}");
        _segments.Add(new Segment(number, header.FirstEntry));

        long at = SegmentHeader.Size;
        ulong settled = 0;
        string? fault;
        _lastGroup = at;
        while (TryReadEntry(reader, at, out var entry, out var bytes, out fault))
        {
            replay(entry.Number, bytes);
            if (entry.Settled != settled)
                _lastGroup = at;
            settled = entry.Settled;
            at += entry.TotalLength;
            _next++;
            Entries++;
        }
        TailOffset = at;
        if (reader.IsZeroFrom(at))
            return;
        if (!last)
            throw Corrupt(number, at, $"{fault}, in a segment that was complete and durable before the next one was created");
        if (FindProof(reader, at) is { } proof)
            throw Corrupt(number, at, $"{fault}, but entry {proof.Number} behind it shows that entry {_next} had been durable");
        logger.JournalTailCut(PathOf(number), at, reader.Length - at, fault, _next);
    }

    /// <summary>The header, and the group that no later one shows to have been durable.</summary>
    private void WriteAgain(IDiskFile file)
    {
        var reader = new SegmentReader(file);
        file.Write(0, reader.Read(0, SegmentHeader.Size).Span);
        for (long at = _lastGroup; at < TailOffset;)
        {
            var piece = reader.Read(at, SegmentReader.WindowBytes).Span;
            file.Write(at, piece);
            at += piece.Length;
        }
    }

    private SegmentHeader ReadHeader(ulong number, SegmentReader reader)
    {
        if (!SegmentHeader.TryRead(reader.Read(0, SegmentHeader.Size).Span, out var header, out uint newer, out string? fault))
        {
            if (newer == 0)
                throw Corrupt(number, 0, fault);
            throw new IOException($"The journal file {PathOf(number)} has format {newer}; this program knows format {SegmentHeader.FormatVersion}. "
                + "It was written by a newer version of Semel: start that one.");
        }
        if (header.Segment != number)
            throw Corrupt(number, 0, $"it says that it is segment {header.Segment}: it was renamed or copied over another");
        if (header.FirstEntry == 0)
            throw Corrupt(number, 0, "it says that it begins with entry 0, and entries begin with 1");
        return header;
    }

    private bool TryReadEntry(SegmentReader reader, long at, out EntryHeader entry, out ReadOnlyMemory<byte> bytes, out string fault)
    {
        if (!TryReadAnyEntry(reader, at, out entry, out bytes, out fault))
            return false;
        if (entry.Number == _next && entry.Settled <= _next)
            return true;
        fault = $"entry {entry.Number}, settled {entry.Settled}, is where entry {_next} should be";
        return false;
    }

    /// <summary>The good entry at the offset, whatever its number.</summary>
    private static bool TryReadAnyEntry(SegmentReader reader, long at, out EntryHeader entry, out ReadOnlyMemory<byte> bytes, out string fault)
    {
        bytes = default;
        if (!EntryHeader.TryRead(reader.Read(at, EntryHeader.Size).Span, out entry, out string? headerFault))
        {
            fault = headerFault;
            return false;
        }
        var padded = reader.Read(at + EntryHeader.Size, entry.TotalLength - EntryHeader.Size);
        if (padded.Length < entry.TotalLength - EntryHeader.Size)
        {
            fault = $"the entry has {entry.Length} bytes, the file ends after {padded.Length} of them";
            return false;
        }
        uint crc = Crc32C.Compute(padded.Span);
        if (crc != entry.PayloadCrc)
        {
            fault = $"entry checksum is {crc:x8}, its header says {entry.PayloadCrc:x8}";
            return false;
        }
        bytes = padded[..(int)entry.Length];
        fault = "";
        return true;
    }

    /// <summary>A good entry behind the damage that was written when the damaged one had been durable. See <see cref="EntryHeader"/>.</summary>
    private EntryHeader? FindProof(SegmentReader reader, long damage)
    {
        for (long at = damage + EntryHeader.Alignment; at + EntryHeader.Size <= reader.Length; at += EntryHeader.Alignment)
        {
            var source = reader.Read(at, EntryHeader.Size).Span;
            if (source.Length == EntryHeader.Size && EntryHeader.MayProve(source, _next) && TryReadAnyEntry(reader, at, out var proof, out _, out _))
                return proof;
        }
        return null;
    }

    private JournalCorruptException Corrupt(ulong number, long offset, string fault) => new(PathOf(number), offset, fault);

    private string PathOf(ulong number) => $"{directory}/{SegmentHeader.NameOf(number)}";
}
