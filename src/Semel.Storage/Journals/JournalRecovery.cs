using Microsoft.Extensions.Logging;
using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>
/// Opens what is there, in these steps:
/// <list type="number">
/// <item>Read it all (<see cref="JournalScan"/>); refuse damage that no crash explains, and change nothing then.</item>
/// <item>Remove a last segment whose creation was not finished.</item>
/// <item>Cut the last segment behind its last entry: what is there is torn, or zeros.</item>
/// <item>Write its last group once more and flush: what was read may have been in the page cache only, and must not be lost after others saw it.</item>
/// </list>
/// Writing again is for a flush that failed: the kernel then takes the pages for clean, and another flush would not write them.
/// </summary>
internal sealed class JournalRecovery(IDisk disk, string directory, WitnessFile witness, ILogger logger)
{
    private readonly JournalScan _scan = new(disk, directory, witness.Found, []);

    /// <summary>The segments, oldest first; none when the journal is new.</summary>
    public IReadOnlyList<Segment> Segments => _scan.Segments;

    /// <summary>The number of the next entry.</summary>
    public ulong NextEntry => _scan.NextEntry;

    /// <summary>Entries that were replayed.</summary>
    public ulong Entries => _scan.Entries;

    /// <summary>The last segment, open; null when there is none.</summary>
    public IDiskFile? Tail { get; private set; }

    /// <summary>Where the next entry goes in <see cref="Tail"/>.</summary>
    public long TailOffset => _scan.TailOffset;

    public async ValueTask RunAsync(Action<ulong, ReadOnlyMemory<byte>> replay)
    {
        // Step 1.
        _scan.Run(replay);
        if (_scan.Damage is { } damage)
            throw new JournalCorruptException(damage);

        // Step 2.
        if (_scan.Unfinished is var (unfinished, why))
        {
            logger.UnfinishedSegmentRemoved(unfinished, why);
            disk.Delete(unfinished);
        }
        if (Segments.Count > 0)
            await EndAsync($"{directory}/{SegmentHeader.NameOf(Segments[^1].Number)}");
        await disk.FlushDirectoryAsync(directory);
    }

    private async ValueTask EndAsync(string last)
    {
        if (_scan.Torn is { } torn)
            logger.JournalTailCut(last, torn.Offset, torn.Bytes, torn.Fault, NextEntry, witness.Found?.Entry ?? 0);
        Tail = disk.Open(last, create: false);
        try
        {
            // Step 3.
            Tail.SetLength(TailOffset);

            // Step 4.
            WriteAgain(Tail);
            await Tail.FlushAsync();
        }
        catch
        {
            Tail.Dispose();
            throw;
        }
    }

    /// <summary>The header, and the group that no later one shows to have been durable.</summary>
    private void WriteAgain(IDiskFile file)
    {
        var reader = new SegmentReader(file);
        file.Write(0, reader.Read(0, SegmentHeader.Size).Span);
        for (long at = _scan.LastGroup; at < TailOffset;)
        {
            var piece = reader.Read(at, SegmentReader.WindowBytes).Span;
            file.Write(at, piece);
            at += piece.Length;
        }
    }
}
