using System.Text;
using Semel.Protocol.Scheduling;
using Semel.Storage.Disks;
using Semel.Storage.Journals;
using Xunit;

namespace Semel.Tests.Storage.Journals;

/// <summary>What is below the witness had been durable: its loss is damage and never a torn write.</summary>
public sealed class JournalWitnessTests : IDisposable
{
    private readonly JournalFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    private static int End(params string[] entries) => SegmentHeader.Size + entries.Sum(e => EntryHeader.TotalLengthOf(Encoding.UTF8.GetByteCount(e)));

    /// <summary>Opens, appends, and lets the journal become idle; what it left on the disk when it was still open.</summary>
    private async Task<(byte[] Segment, byte[] Witness)> AppendAndIdleAsync(params string[] entries)
    {
        _fixture.Options.WitnessWhenIdleFor = TimeSpan.FromMilliseconds(1);
        await using var journal = await _fixture.OpenAsync();
        foreach (string entry in entries)
            await journal.WaitDurableAsync(journal.Append(Encoding.UTF8.GetBytes(entry)));
        while (ReadWitness() is not { } witness || witness.Entry < journal.DurableEntry)
            await Task.Yield();
        return (_fixture.Bytes(), _fixture.Witness!);
    }

    private JournalWitness? ReadWitness()
    {
        using var file = new WitnessFile(_fixture.Disk, "log");
        return file.Found;
    }

    /// <summary>Each bit, after a clean stop and after the journal had been idle for a moment and was killed.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Every_flipped_bit_of_the_last_entry_is_refused_and_mended_by_the_scan(bool clean)
    {
        var (whole, witness) = await AppendAndIdleAsync("one", "two", "the last");
        if (clean)
            (whole, witness) = (_fixture.Bytes(), _fixture.Witness!);

        for (int bit = End("one", "two") * 8; bit < whole.Length * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            _fixture.Replace(damaged);
            _fixture.Witness = witness;

            var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

            Assert.Equal(("log/00000001.log", (long)End("one", "two"), 3UL), (refusal.File, refusal.Offset, refusal.Damage.Entry));
            Assert.Equal(new FlippedBit(1, bit / 8, bit % 8), refusal.Damage.Bit);
            Assert.Contains("the journal's witness says that entry 3 had been durable", refusal.Message, StringComparison.Ordinal);
            Assert.Equal(damaged, _fixture.Bytes());
            var scan = new JournalScan(_fixture.Disk, "log", ReadWitness(), [refusal.Damage.Bit!.Value]);
            scan.Run((_, _) => { });
            Assert.Equal((null, 4UL), (scan.Damage, scan.NextEntry));
        }
    }

    /// <summary>Also in the moment before the witness: a torn write loses words, not bits.</summary>
    [Fact]
    public async Task Every_flipped_bit_of_the_last_entry_is_refused_when_the_witness_does_not_reach_it_unless_it_may_be_torn()
    {
        const string last = "the last entry!!";
        await _fixture.AppendAsync("one", "two");
        await _fixture.AppendAndDieAsync(last);
        var (whole, witness) = (_fixture.Bytes(), _fixture.Witness);

        for (int bit = End("one", "two") * 8; bit < whole.Length * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            _fixture.Replace(damaged);
            _fixture.Witness = witness;

            var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

            Assert.Contains("one bit flipped, which no torn write leaves behind", refusal.Message, StringComparison.Ordinal);
            Assert.Equal(damaged, _fixture.Bytes());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_journal_that_ends_before_its_witness_is_refused_wherever_it_was_cut(bool clean)
    {
        var (whole, witness) = await AppendAndIdleAsync("one", "two", "three");
        if (clean)
            (whole, witness) = (_fixture.Bytes(), _fixture.Witness!);

        for (int length = SegmentHeader.Size; length < whole.Length; length++)
        {
            foreach (bool zeros in new[] { false, true })
            {
                var cut = zeros ? [.. whole[..length], .. new byte[4096]] : whole[..length];
                _fixture.Replace(cut);
                _fixture.Witness = witness;
                if (cut.AsSpan().StartsWith(whole))
                    continue;   // there were zeros anyway

                var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

                int filler = zeros ? 5 : 0;     // where it held zeros anyway, nothing was lost
                ulong missing = length < End("one") - filler ? 1UL : length < End("one", "two") - filler ? 2UL : 3UL;
                Assert.Equal(missing, refusal.Damage.Entry);
                Assert.Equal(3UL, refusal.Damage.Durable);
                Assert.Equal(cut, _fixture.Bytes());
            }
        }
    }

    [Fact]
    public async Task A_last_segment_that_is_missing_is_refused_by_name_and_so_is_one_without_entries()
    {
        _fixture.Options.SegmentBytes = 128;
        await _fixture.AppendAsync("one", "two", "three");
        var last = _fixture.Bytes(3);

        File.Delete(_fixture.PathOf(3));
        Assert.Equal("log/00000003.log", (await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync)).File);
        _fixture.Replace(new byte[last.Length], 3);
        Assert.Equal("log/00000003.log", (await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync)).File);

        _fixture.Replace(last, 3);
        Assert.Equal(["one", "two", "three"], await _fixture.ReadAsync());
    }

    [Fact]
    public async Task An_earlier_segment_that_was_cut_between_two_entries_is_the_one_that_is_named()
    {
        _fixture.Options.SegmentBytes = 256;
        await _fixture.AppendAsync("one", "two", "three", "four", "five", "six");
        _fixture.Replace(_fixture.Bytes()[..End("one", "two")]);

        var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

        Assert.Equal(("log/00000001.log", (long)End("one", "two"), 3UL), (refusal.File, refusal.Offset, refusal.Damage.Entry));
    }

    [Fact]
    public async Task All_segments_missing_is_not_a_new_journal()
    {
        await _fixture.AppendAsync("one");
        File.Delete(_fixture.PathOf(1));

        var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

        Assert.Contains("the file is missing", refusal.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_fixture.PathOf(1)));
    }

    [Fact]
    public async Task One_rotten_slot_leaves_the_other_one_in_force_and_two_are_told_and_written_anew()
    {
        await _fixture.AppendAsync("one", "two");
        var witness = _fixture.Witness!;

        for (int slot = 0; slot < 2; slot++)
        {
            var rotten = (byte[])witness.Clone();
            rotten[(slot * WitnessFile.SlotStride) + 20] ^= 4;
            _fixture.Witness = rotten;
            Assert.Equal(["one", "two"], await _fixture.ReadAsync());
            Assert.Empty(_fixture.Logger.Warnings);
        }
        foreach (var nothing in new[] { new byte[witness.Length], [], [1, 2, 3] })
        {
            _fixture.Witness = nothing;
            Assert.Equal(["one", "two"], await _fixture.ReadAsync());
            Assert.Contains("cannot prove", Assert.Single(_fixture.Logger.Warnings), StringComparison.Ordinal);
            Assert.Equal(2UL, ReadWitness()!.Value.Entry);
        }
    }

    [Fact]
    public async Task Every_flipped_bit_of_a_slot_is_noticed()
    {
        var slot = new byte[JournalWitness.Size];
        new JournalWitness(3, 1000, 7, 4096).Write(slot);
        Assert.True(JournalWitness.TryRead(slot, out var same, out _));
        Assert.Equal(new JournalWitness(3, 1000, 7, 4096), same);

        for (int bit = 0; bit < slot.Length * 8; bit++)
        {
            slot[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(JournalWitness.TryRead(slot, out _, out _));
            slot[bit / 8] ^= (byte)(1 << (bit % 8));
        }
        await Task.CompletedTask;
    }

    [Fact]
    public async Task A_journal_of_an_older_version_gets_its_witness_at_its_first_opening()
    {
        await _fixture.AppendAsync("one", "two");
        _fixture.Witness = null;

        Assert.Equal(["one", "two"], await _fixture.ReadAsync());

        Assert.Empty(_fixture.Logger.Warnings);
        Assert.Equal(2UL, ReadWitness()!.Value.Entry);
    }

    [Fact]
    public async Task The_witness_is_written_when_the_journal_is_idle_and_never_while_an_append_waits()
    {
        _fixture.Options.WitnessWhenIdleFor = TimeSpan.FromMilliseconds(1);
        await using var journal = await _fixture.OpenAsync();
        var flushes = new FlushGate(_fixture.Disk);

        ulong number = journal.Append("one"u8);
        var flush = await flushes.NextAsync();
        Assert.Equal(0UL, ReadWitness()!.Value.Entry);
        flush.SetResult();
        await journal.WaitDurableAsync(number);
        while (ReadWitness()!.Value.Entry != 1)
            await Task.Yield();

        Assert.Equal((1UL, (ulong)End("one")), (ReadWitness()!.Value.Segment, ReadWitness()!.Value.Offset));
    }

    [Fact]
    public async Task A_journal_that_is_never_idle_writes_its_witness_from_time_to_time()
    {
        _fixture.Options.WitnessInterval = TimeSpan.FromMilliseconds(5);
        _fixture.Options.WitnessWhenIdleFor = TimeSpan.FromHours(1);
        await using var journal = await _fixture.OpenAsync();

        while (ReadWitness()!.Value.Entry == 0)
            await journal.WaitDurableAsync(journal.Append("again"u8));

        Assert.InRange(ReadWitness()!.Value.Entry, 1UL, journal.DurableEntry);
    }

    [Fact]
    public async Task A_full_disk_does_not_fail_a_journal_whose_witness_cannot_be_written_and_any_other_failure_does()
    {
        var journal = await _fixture.OpenAsync();
        _fixture.Disk.BeforeWrite = (name, _) =>
        {
            if (name.Contains("witness", StringComparison.Ordinal))
                throw new DiskFullException("No space.");
        };
        await journal.WaitDurableAsync(journal.Append("one"u8));
        await journal.DisposeAsync();
        Assert.Contains("cannot be written", Assert.Single(_fixture.Logger.Warnings), StringComparison.Ordinal);

        _fixture.Disk.BeforeWrite = (_, _) => { };
        _fixture.Options.WitnessWhenIdleFor = TimeSpan.FromMilliseconds(1);
        journal = await _fixture.OpenAsync();
        _fixture.Disk.BeforeFlush = name => name.Contains("witness", StringComparison.Ordinal) ? throw new IOException("The device is gone.") : Task.CompletedTask;
        await journal.WaitDurableAsync(journal.Append("two"u8));
        var failure = await Assert.ThrowsAsync<JournalFailedException>(() => journal.Completion.WithinAsync(TimeSpan.FromSeconds(30), TimeProvider.System));

        Assert.Contains("The device is gone.", failure.Message, StringComparison.Ordinal);
        await journal.DisposeAsync();
    }
}
