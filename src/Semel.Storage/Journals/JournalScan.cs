using Semel.Protocol.Checksums;
using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>A segment that exists, and the number of the first entry that it has or will have.</summary>
internal readonly record struct Segment(ulong Number, ulong FirstEntry);

/// <summary>
/// Reads a journal, in order, as far as it verifies, and judges what it finds there: the end, a write that a crash left incomplete, or
/// damage. Changes nothing.
/// </summary>
/// <remarks>
/// Bytes are only taken for a torn write when nothing shows that they had been durable:
/// <list type="bullet">
/// <item>they are in the last segment,</item>
/// <item>no good entry behind them has a <c>settled</c> above their number (<see cref="EntryHeader"/>),</item>
/// <item>the witness does not reach them (<see cref="JournalWitness"/>),</item>
/// <item>they are not a whole entry in which one bit is wrong: a torn write loses words, not bits.</item>
/// </list>
/// </remarks>
/// <param name="mended">Bits to read the other way round: what the journal would be if they were mended.</param>
internal sealed class JournalScan(IDisk disk, string directory, JournalWitness? witness, IReadOnlyCollection<FlippedBit> mended)
{
    private readonly List<Segment> _segments = [];
    private ulong _next = 1;
    private ulong _settled;    // of the entry before

    /// <summary>The segments that were read, oldest first; the last of them has the end or the damage.</summary>
    public IReadOnlyList<Segment> Segments => _segments;

    /// <summary>The number of the next entry.</summary>
    public ulong NextEntry => _next;

    /// <summary>Entries that were read.</summary>
    public ulong Entries { get; private set; }

    /// <summary>Where the next entry goes in the last segment.</summary>
    public long TailOffset { get; private set; }

    /// <summary>Where the last group that was read begins in the last segment.</summary>
    public long LastGroup { get; private set; } = SegmentHeader.Size;

    /// <summary>A segment that was never used: its header is not there. It is not among <see cref="Segments"/>.</summary>
    public (string File, string Fault)? Unfinished { get; private set; }

    public JournalDamage? Damage { get; private set; }

    public TornTail? Torn { get; private set; }

    /// <param name="replay">Gets every entry up to the end or the damage; the bytes are valid during the call.</param>
    /// <exception cref="IOException">The disk failed, or a newer version of Semel wrote the journal.</exception>
    public void Run(Action<ulong, ReadOnlyMemory<byte>> replay)
    {
        var numbers = FindSegments(out ulong? behindTheGap);
        if (behindTheGap is null && numbers.Count > 0 && IsUnfinished(numbers[^1], only: numbers.Count == 1))
            numbers.RemoveAt(numbers.Count - 1);
        foreach (ulong number in numbers)
        {
            using var file = disk.Open(PathOf(number), create: false);
            var next = number < numbers[^1] ? Next.IsThere : behindTheGap is not null || witness?.Segment > number ? Next.IsMissing : Next.IsNone;
            ReadSegment(number, file, next, replay);
            if (Damage is not null)
                return;
        }
        if (behindTheGap is { } later)
            Fail(numbers[^1] + 1, 0, _next, "the file is missing", $"{SegmentHeader.NameOf(later)} and an earlier segment are there");
        else if (witness is { } w && (numbers.Count == 0 || w.Segment > numbers[^1]))
            Fail(numbers.Count == 0 ? 1 : numbers[^1] + 1, 0, w.Entry, "the file is missing", "the journal's witness says that it had been there");
    }

    /// <summary>What is behind a segment: nothing, for it is the last; the next one; or a gap.</summary>
    private enum Next
    {
        IsNone = 1,
        IsThere = 2,
        IsMissing = 3,
    }

    /// <summary>The numbers up to the first gap.</summary>
    private List<ulong> FindSegments(out ulong? behindTheGap)
    {
        behindTheGap = null;
        var numbers = new List<ulong>();
        foreach (string name in disk.ListFiles(directory))
        {
            if (!SegmentHeader.TryParseName(name, out ulong number))
                continue;
            if (numbers.Count > 0 && number != numbers[^1] + 1)
            {
                behindTheGap = number;
                break;
            }
            numbers.Add(number);
        }
        return numbers;
    }

    /// <summary>
    /// A header is durable before the first entry is written, so a segment with a bad header and nothing behind it was never used, unless
    /// the witness saw it. It can be the only one when it is the very first; otherwise nobody would know the number of the next entry.
    /// </summary>
    private bool IsUnfinished(ulong number, bool only)
    {
        if (witness?.Segment >= number)
            return false;
        using var file = disk.Open(PathOf(number), create: false);
        var reader = ReaderOf(number, file);
        if (SegmentHeader.TryRead(reader.Read(0, SegmentHeader.Size).Span, out _, out uint newer, out string? fault) || newer != 0)
            return false;
        if (!reader.IsZeroFrom(SegmentHeader.Size) || (only && number != 1))
            return false;
        Unfinished = (PathOf(number), fault);
        return true;
    }

    private void ReadSegment(ulong number, IDiskFile file, Next next, Action<ulong, ReadOnlyMemory<byte>> replay)
    {
        var reader = ReaderOf(number, file);
        if (!TryReadHeader(number, reader, out var header))
            return;
        if (_segments.Count == 0)
            _next = header.FirstEntry;
        _segments.Add(new Segment(number, header.FirstEntry));

        long at = SegmentHeader.Size;
        ulong settled = 0;
        EntryReader.Result entry;
        LastGroup = at;
        while ((entry = EntryReader.Read(reader, at, _next)).Fault is null)
        {
            replay(entry.Header.Number, entry.Bytes);
            if (entry.Header.Settled != settled)
                LastGroup = at;
            _settled = settled = entry.Header.Settled;
            at += entry.Header.TotalLength;
            _next++;
            Entries++;
        }
        TailOffset = at;
        JudgeEnd(number, reader, at, next, entry.Fault);
    }

    /// <summary>Why no entry was read at the offset: the end, a torn write, or damage.</summary>
    private void JudgeEnd(ulong number, SegmentReader reader, long at, Next next, string fault)
    {
        ulong witnessed = witness?.Entry ?? 0;
        bool zeros = reader.IsZeroFrom(at);
        bool isEnd = next switch
        {
            Next.IsNone => witnessed < _next,
            Next.IsThere => FirstEntryOf(number + 1) is not { } first || first == _next,
            _ => true,      // how far it went nobody knows; the gap is told
        };
        if (zeros && isEnd)
            return;
        if (zeros)
            fault = reader.Length > at ? "there are zeros in its place" : "the file ends before it";

        var bit = EntryReader.FindFlippedBit(reader, at, _next, _settled, out bool mayBeTorn);
        ulong durable = witnessed;
        string proof;
        if (next != Next.IsNone)
        {
            durable = Math.Max(durable, FirstEntryOf(number + 1) - 1 ?? _next);
            proof = "the segment was complete and durable before the next one was created";
        }
        else if (FindProof(reader, at) is { } later)
        {
            durable = Math.Max(durable, later.Settled - 1);
            proof = $"entry {later.Number} behind it shows that entry {_next} had been durable";
        }
        else if (witnessed >= _next)
            proof = $"the journal's witness says that entry {_next} had been durable";
        else if (bit is not null && !mayBeTorn)
            proof = "the entry is there as a whole with one bit flipped, which no torn write leaves behind";
        else
        {
            Torn = new TornTail(at, reader.Length - at, fault);
            return;
        }
        Fail(number, at, durable, fault, proof, bit is { } found ? new FlippedBit(number, at + found.Byte, found.Bit) : null);
    }

    /// <summary>What the header of the segment says; null when it is not there or not good, which is told when its turn comes.</summary>
    private ulong? FirstEntryOf(ulong number)
    {
        if (!disk.FileExists(PathOf(number)))
            return null;
        using var file = disk.Open(PathOf(number), create: false);
        return SegmentHeader.TryRead(ReaderOf(number, file).Read(0, SegmentHeader.Size).Span, out var header, out _, out _) && header.Segment == number ? header.FirstEntry : null;
    }

    private bool TryReadHeader(ulong number, SegmentReader reader, out SegmentHeader header)
    {
        var bytes = reader.Read(0, SegmentHeader.Size);
        if (SegmentHeader.TryRead(bytes.Span, out header, out uint newer, out string? fault))
        {
            if (header.Segment != number)
                fault = $"it says that it is segment {header.Segment}: it was renamed or copied over another";
            else if (header.FirstEntry == 0)
                fault = "it says that it begins with entry 0, and entries begin with 1";
            else if (_segments.Count > 0 && header.FirstEntry != _next)
                fault = $"it begins with entry {header.FirstEntry}, the segment before it ends before entry {_next}";
            else
                return true;
        }
        else if (newer != 0)
        {
            throw new IOException($"The journal file {PathOf(number)} has format {newer}; this program knows format {SegmentHeader.FormatVersion}. "
                + "It was written by a newer version of Semel: start that one.");
        }
        var bit = BitSearch.InHeader(bytes.ToArray(), candidate =>
            SegmentHeader.TryRead(candidate.Span, out var h, out _, out _) && h.Segment == number && h.FirstEntry > 0 && (_segments.Count == 0 || h.FirstEntry == _next));
        Fail(number, 0, witness?.Entry ?? 0, fault, "a segment's header is durable before its first entry is written", bit is { } found ? new FlippedBit(number, found.Byte, found.Bit) : null);
        return false;
    }

    /// <summary>
    /// A good entry behind the damage that was written when the damaged one had been durable. See <see cref="EntryHeader"/>.
    /// </summary>
    private EntryHeader? FindProof(SegmentReader reader, long damage)
    {
        for (long at = damage + EntryHeader.Alignment; at + EntryHeader.Size <= reader.Length; at += EntryHeader.Alignment)
        {
            var source = reader.Read(at, EntryHeader.Size).Span;
            if (source.Length == EntryHeader.Size && EntryHeader.MayProve(source, _next) && EntryReader.ReadAny(reader, at) is { Fault: null } proof)
                return proof.Header;
        }
        return null;
    }

    private void Fail(ulong segment, long offset, ulong durable, string fault, string proof, FlippedBit? bit = null)
    {
        ulong entry = _segments.Count > 0 || segment == 1 ? _next : 0;
        Damage = new JournalDamage(PathOf(segment), segment, offset, entry, Math.Max(durable, _next - 1), fault, proof, bit);
    }

    private SegmentReader ReaderOf(ulong number, IDiskFile file) => new(file, [.. mended.Where(bit => bit.Segment == number)]);

    private string PathOf(ulong number) => $"{directory}/{SegmentHeader.NameOf(number)}";
}
