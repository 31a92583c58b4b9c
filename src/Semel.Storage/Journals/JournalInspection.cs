using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>
/// A journal that nobody has open, for an operator: how far it verifies, what damage there is, and what can be done about it. What can be
/// <em>proved</em> is mended: single flipped bits (<see cref="BitSearch"/>). What cannot is given up only when somebody says so. Every file
/// that is changed is kept beside, with <c>.damaged</c> behind its name.
/// </summary>
public sealed class JournalInspection
{
    private readonly IDisk _disk;
    private readonly string _directory;
    private readonly List<FlippedBit> _bits = [];
    private readonly JournalScan _scan;

    private JournalInspection(IDisk disk, string directory, Action<ulong, ReadOnlyMemory<byte>> replay)
    {
        (_disk, _directory) = (disk, directory);
        using (var witness = new WitnessFile(disk, directory))
            (Witnessed, WitnessFault) = (witness.Found?.Entry, witness.Fault);
        // Each scan knows one flipped bit more; each bit that makes an entry good lets the next scan go on behind it.
        var found = Scan((_, _) => { });
        FirstDamage = found.Damage?.ToString();
        while (found.Damage?.Bit is { } bit && !_bits.Contains(bit))
        {
            _bits.Add(bit);
            found = Scan((_, _) => { });
        }
        _scan = Scan(replay);
    }

    /// <summary>Reads it all; changes nothing.</summary>
    /// <param name="replay">
    /// Gets every entry that can be read, or could be once the flipped bits are mended, up to the first that cannot.
    /// </param>
    /// <exception cref="IOException">The disk failed, or a newer version of Semel wrote the journal.</exception>
    public static JournalInspection Read(IDisk disk, string directory, Action<ulong, ReadOnlyMemory<byte>> replay) => new(disk, directory, replay);

    /// <summary>Entries up to this one can be read, once what can be mended is.</summary>
    public ulong LastEntry => _scan.NextEntry - 1;

    /// <summary>The witness says that entries up to this one had been durable; null: there is none.</summary>
    public ulong? Witnessed { get; }

    /// <summary>Why the witness that is there says nothing.</summary>
    public string? WitnessFault { get; }

    /// <summary>What keeps the journal from being opened; null: nothing.</summary>
    public string? FirstDamage { get; }

    /// <summary>What can be mended, a line each.</summary>
    public IReadOnlyList<string> Mendable => [.. _bits.Select(bit => $"{PathOf(bit.Segment)}: bit {bit.Bit} of byte {bit.Offset} is flipped")];

    /// <summary>What is left when that was mended; null: nothing.</summary>
    public string? Remaining => _scan.Damage?.ToString();

    /// <summary>The first entry that would be given up; 0: there is nothing to give up, or nothing would be left.</summary>
    public ulong FirstLost => _scan.Damage is not null && _scan.Segments.Count > 0 ? _scan.NextEntry : 0;

    /// <summary>At least all entries up to this one had been durable.</summary>
    public ulong Durable => Math.Max(_scan.Damage?.Durable ?? 0, Math.Max(Witnessed ?? 0, LastEntry));

    /// <summary>Bytes at the end that a start would cut as a write that was under way; null: none.</summary>
    public string? Torn => _scan.Torn is { } torn ? $"{torn.Bytes} bytes behind entry {LastEntry} are no whole entry ({torn.Fault})" : null;

    /// <summary>Entries behind the damage that are whole: what giving up would lose for certain.</summary>
    public IEnumerable<(ulong Number, ReadOnlyMemory<byte> Bytes)> ReadBehind()
    {
        if (_scan.Damage is not { } damage)
            yield break;
        foreach (ulong segment in SegmentsFrom(damage.Segment))
        {
            using var file = _disk.Open(PathOf(segment), create: false);
            var reader = new SegmentReader(file);
            long at = segment == damage.Segment ? Math.Max(damage.Offset, SegmentHeader.Size) : SegmentHeader.Size;
            while (at + EntryHeader.Size <= reader.Length)
            {
                if (EntryReader.ReadAny(reader, at) is { Fault: null } entry && entry.Header.Number >= _scan.NextEntry)
                {
                    yield return (entry.Header.Number, entry.Bytes);
                    at += entry.Header.TotalLength;
                }
                else
                {
                    at += EntryHeader.Alignment;
                }
            }
        }
    }

    /// <summary>Puts the flipped bits right; durable on return. Returns the names under which the files are kept as they were.</summary>
    public async ValueTask<IReadOnlyList<string>> MendAsync()
    {
        var kept = new List<string>();
        foreach (var segment in _bits.GroupBy(bit => bit.Segment))
        {
            kept.Add(await KeepAsync(PathOf(segment.Key)));
            using var file = _disk.Open(PathOf(segment.Key), create: false);
            var value = new byte[1];
            foreach (var bit in segment)
            {
                file.Read(bit.Offset, value);
                value[0] ^= bit.Mask;
                file.Write(bit.Offset, value);
            }
            await file.FlushAsync();
        }
        return kept;
    }

    /// <summary>
    /// Ends the journal before <see cref="FirstLost"/>, after mending what comes before it; durable on return. A crash in between leaves a
    /// journal that is refused, or one that was cut. Returns the names under which the files are kept as they were.
    /// </summary>
    public async ValueTask<IReadOnlyList<string>> GiveUpAsync()
    {
        if (_scan.Damage is not { } damage || FirstLost == 0)
            throw new InvalidOperationException("There is nothing to give up.");
        var kept = new List<string>(await MendAsync());
        var lost = SegmentsFrom(damage.Segment);
        foreach (ulong segment in lost)
            kept.Add(await KeepAsync(PathOf(segment)));
        var last = _scan.Segments[^1];
        // Newest first, each by itself: a gap would look like a lost file.
        foreach (ulong segment in lost.Where(segment => segment > last.Number).Reverse())
        {
            _disk.Delete(PathOf(segment));
            await _disk.FlushDirectoryAsync(_directory);
        }
        using (var file = _disk.Open(PathOf(last.Number), create: false))
        {
            file.SetLength(_scan.TailOffset);
            await file.FlushAsync();
        }
        using var witness = new WitnessFile(_disk, _directory);
        await witness.WriteAsync(LastEntry, last.Number, _scan.TailOffset);
        return kept;
    }

    private JournalScan Scan(Action<ulong, ReadOnlyMemory<byte>> replay)
    {
        using var witness = new WitnessFile(_disk, _directory);
        var scan = new JournalScan(_disk, _directory, witness.Found, _bits);
        scan.Run(replay);
        return scan;
    }

    /// <summary>A copy under a name of its own; durable on return.</summary>
    private async ValueTask<string> KeepAsync(string name)
    {
        string copy = $"{name}.damaged";
        for (int i = 2; _disk.FileExists(copy); i++)
            copy = $"{name}.damaged-{i}";
        using (var source = _disk.Open(name, create: false))
        using (var target = _disk.Open(copy, create: true))
        {
            var buffer = new byte[1 << 20];
            long length = source.Length;
            for (long at = 0; at < length;)
            {
                int count = source.Read(at, buffer);
                target.Write(at, buffer.AsSpan(0, count));
                at += count;
            }
            await target.FlushAsync();
        }
        await _disk.FlushDirectoryAsync(_directory);
        return copy;
    }

    private List<ulong> SegmentsFrom(ulong first) =>
        [.. _disk.ListFiles(_directory).Select(name => SegmentHeader.TryParseName(name, out ulong number) ? number : 0).Where(number => number >= first && number > 0)];

    private string PathOf(ulong segment) => $"{_directory}/{SegmentHeader.NameOf(segment)}";
}
