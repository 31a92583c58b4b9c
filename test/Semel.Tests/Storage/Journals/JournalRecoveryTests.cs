using System.Buffers.Binary;
using System.Text;
using Semel.Protocol.Checksums;
using Semel.Storage.Journals;
using Xunit;

namespace Semel.Tests.Storage.Journals;

/// <summary>What opening makes of the bytes that it finds.</summary>
public sealed class JournalRecoveryTests : IDisposable
{
    private readonly JournalFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    private static int End(params string[] entries) => SegmentHeader.Size + entries.Sum(e => EntryHeader.TotalLengthOf(Encoding.UTF8.GetByteCount(e)));

    [Fact]
    public async Task A_tail_torn_at_any_byte_of_the_last_entry_is_cut_and_the_journal_goes_on()
    {
        await _fixture.AppendAsync("one", "two");
        await _fixture.AppendAndDieAsync("the third entry");
        var (whole, witness) = (_fixture.Bytes(), _fixture.Witness);
        int start = End("one", "two");
        Assert.Equal(End("one", "two", "the third entry"), whole.Length);

        for (int length = start; length < whole.Length; length++)
        {
            _fixture.Replace(whole[..length]);
            _fixture.Witness = witness;

            Assert.Equal(["one", "two"], await _fixture.ReadAsync());
            Assert.Equal(length > start, _fixture.Logger.Warnings.Any());

            await _fixture.AppendAsync("again");
            Assert.Equal(["one", "two", "again"], await _fixture.ReadAsync());
            Assert.Empty(_fixture.Logger.Warnings);
        }
    }

    [Fact]
    public async Task A_tail_of_which_any_part_never_reached_the_disk_is_cut()
    {
        await _fixture.AppendAsync("one", "two");
        await _fixture.AppendAndDieAsync("the third entry");
        var (whole, witness) = (_fixture.Bytes(), _fixture.Witness);
        int start = End("one", "two");

        for (int from = start; from < whole.Length; from += 8)
        {
            for (int to = from + 8; to <= whole.Length; to += 8)
            {
                var torn = (byte[])whole.Clone();
                Array.Clear(torn, from, to - from);
                _fixture.Replace(torn);
                _fixture.Witness = witness;

                var entries = await _fixture.ReadAsync();

                // Where it held zeros anyway, nothing was lost.
                if (!torn.AsSpan().SequenceEqual(whole))
                    Assert.Equal(["one", "two"], entries);
            }
        }
    }

    [Fact]
    public async Task Every_flipped_bit_of_an_entry_that_had_been_durable_is_refused_and_nothing_is_changed()
    {
        await _fixture.AppendAsync("one", "two", "three", "four");
        var whole = _fixture.Bytes();

        for (int bit = End("one") * 8; bit < End("one", "two") * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            _fixture.Replace(damaged);

            var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

            Assert.Equal(("log/00000001.log", (long)End("one")), (refusal.File, refusal.Offset));
            Assert.Contains("Put back a copy", refusal.Message, StringComparison.Ordinal);
            Assert.Equal(damaged, _fixture.Bytes());
        }
    }

    [Fact]
    public async Task Every_flipped_bit_of_a_segment_header_is_refused()
    {
        await _fixture.AppendAsync("one", "two");
        var whole = _fixture.Bytes();

        for (int bit = 0; bit < SegmentHeader.Size * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            _fixture.Replace(damaged);

            Assert.Equal(0, (await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync)).Offset);
        }
    }

    [Fact]
    public async Task A_group_of_which_the_disk_kept_only_later_entries_is_torn_and_not_corrupt()
    {
        await _fixture.AppendAsync("before");
        await _fixture.AppendGroupAndDieAsync("first of the group", "second of the group");
        var bytes = _fixture.Bytes();
        bytes.AsSpan(End("before") + EntryHeader.Size, 8).Clear();
        _fixture.Replace(bytes);

        Assert.Equal(["before"], await _fixture.ReadAsync());
        Assert.Single(_fixture.Logger.Warnings);
        Assert.Equal(End("before"), _fixture.Bytes().Length);
    }

    [Fact]
    public async Task The_same_damage_is_refused_when_a_later_group_shows_that_it_had_been_durable()
    {
        await _fixture.AppendGroupAsync("first of the group", "second of the group");
        await _fixture.AppendAsync("later");
        var bytes = _fixture.Bytes();
        bytes[SegmentHeader.Size + EntryHeader.Size] ^= 1;
        _fixture.Replace(bytes);

        var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

        Assert.Contains("entry 3 behind it shows that entry 1 had been durable", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zeros_filled_ahead_are_a_clean_end_and_entries_replace_them()
    {
        _fixture.Options.FillAheadBytes = 4096;
        await _fixture.AppendAsync("one");
        Assert.Equal(End("one") + 4096, _fixture.Bytes().Length);

        await _fixture.AppendAsync("two", "three");

        Assert.Equal(End("one", "two") + 4096, _fixture.Bytes().Length);
        Assert.Equal(["one", "two", "three"], await _fixture.ReadAsync());
        Assert.Empty(_fixture.Logger.Warnings);
    }

    [Fact]
    public async Task A_cut_is_flushed_before_the_journal_goes_on()
    {
        await _fixture.AppendAsync("one");
        await _fixture.AppendAndDieAsync("two");
        _fixture.Replace(_fixture.Bytes()[..^1]);
        var flushes = new FlushGate(_fixture.Disk);

        var opening = _fixture.OpenAsync();
        var flush = await flushes.NextAsync();

        Assert.Equal(End("one"), _fixture.Bytes().Length);
        Assert.False(opening.IsCompleted);
        flush.SetResult();
        await (await opening).DisposeAsync();
    }

    [Fact]
    public async Task A_full_segment_is_followed_by_another_and_all_are_replayed()
    {
        _fixture.Options.SegmentBytes = 256;
        var entries = Enumerable.Range(0, 40).Select(i => $"entry {i}").ToArray();

        await _fixture.AppendAsync(entries[..20]);
        await _fixture.AppendAsync(entries[20..]);

        Assert.Equal(10, _fixture.Segments);
        Assert.Equal(entries, await _fixture.ReadAsync());
    }

    [Fact]
    public async Task Damage_in_an_earlier_segment_is_refused_even_at_its_end()
    {
        _fixture.Options.SegmentBytes = 256;
        await _fixture.AppendAsync("one", "two", "three", "four", "five", "six");
        var whole = _fixture.Bytes(1);

        foreach (var damaged in new[] { whole[..^1], [.. whole, 0, 0, 7, 0], whole[..60], [] })
        {
            _fixture.Replace(damaged);

            Assert.Equal("log/00000001.log", (await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync)).File);
        }
        _fixture.Replace(whole);
        Assert.Equal(6, (await _fixture.ReadAsync()).Length);
    }

    [Fact]
    public async Task A_missing_segment_in_the_middle_is_refused_by_name()
    {
        _fixture.Options.SegmentBytes = 128;
        await _fixture.AppendAsync("one", "two", "three", "four", "five", "six");
        File.Delete(_fixture.PathOf(2));

        Assert.Equal("log/00000002.log", (await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync)).File);
    }

    [Fact]
    public async Task A_segment_in_another_ones_place_is_refused()
    {
        _fixture.Options.SegmentBytes = 128;
        await _fixture.AppendAsync("one", "two", "three", "four", "five", "six");
        File.Copy(_fixture.PathOf(1), _fixture.PathOf(2), overwrite: true);

        var refusal = await Assert.ThrowsAsync<JournalCorruptException>(_fixture.OpenAsync);

        Assert.Contains("it says that it is segment 1", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(64)]
    [InlineData(4096)]
    public async Task A_segment_whose_creation_was_interrupted_is_made_again(int zeros)
    {
        _fixture.Options.SegmentBytes = 128;
        await _fixture.AppendAsync("one", "two");
        int segments = _fixture.Segments;
        _fixture.Replace(new byte[zeros], segments + 1);

        Assert.Equal(["one", "two"], await _fixture.ReadAsync());
        Assert.Single(_fixture.Logger.Warnings);
        await _fixture.AppendAsync("three");
        Assert.Equal(["one", "two", "three"], await _fixture.ReadAsync());
    }

    [Fact]
    public async Task The_very_first_segment_may_be_unfinished_too()
    {
        await (await _fixture.OpenAsync()).DisposeAsync();
        _fixture.Replace([1, 2, 3]);
        _fixture.Witness = null;    // it comes after the segment

        await _fixture.AppendAsync("one");

        Assert.Equal(["one"], await _fixture.ReadAsync());
    }

    [Fact]
    public async Task A_newer_format_is_refused_as_such()
    {
        await _fixture.AppendAsync("one");
        var bytes = _fixture.Bytes();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), 2);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Crc32C.Compute(bytes.AsSpan(4, SegmentHeader.Size - 4)));
        _fixture.Replace(bytes);

        var refusal = await Assert.ThrowsAsync<IOException>(_fixture.OpenAsync);

        Assert.Contains("has format 2; this program knows format 1", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Segments_below_an_entry_are_deleted_and_the_journal_begins_later()
    {
        _fixture.Options.SegmentBytes = 128;
        await _fixture.AppendAsync("one", "two", "three", "four");
        Assert.Equal(4, _fixture.Segments);

        await using (var journal = await _fixture.OpenAsync())
        {
            await journal.DeleteSegmentsBelowAsync(3);
            Assert.Equal(3UL, journal.FirstEntry);
            await journal.DeleteSegmentsBelowAsync(100);
            Assert.Equal(4UL, journal.FirstEntry);
            await journal.WaitDurableAsync(journal.Append("five"u8));
        }

        Assert.Equal(["four", "five"], await _fixture.ReadAsync());
        Assert.Equal([4UL, 5UL], _fixture.Replayed.Select(e => e.Number));
    }

    [Fact]
    public async Task Other_files_in_the_directory_are_left_alone()
    {
        await _fixture.AppendAsync("one");
        foreach (string name in new[] { "1.log", "0000001x.log", "00000000.log", "notes.txt" })
            File.WriteAllText(Path.Join(Path.GetDirectoryName(_fixture.PathOf(1)), name), "not a segment");

        Assert.Equal(["one"], await _fixture.ReadAsync());
        Assert.Equal(4, _fixture.Segments);
    }

    [Fact]
    public async Task Whatever_a_crash_leaves_of_the_last_group_the_rest_is_there()
    {
        var random = new Random(7);
        for (int round = 0; round < 60; round++)
        {
            using var fixture = new JournalFixture();
            fixture.Options.SegmentBytes = random.Next(128, 4096);
            fixture.Options.FillAheadBytes = random.Next(2) * 512;
            var durable = Enumerable.Range(0, random.Next(0, 20)).Select(i => new string('d', random.Next(0, 100)) + i).ToArray();
            await fixture.AppendAsync(durable);
            var before = fixture.Bytes(fixture.Segments);
            int segments = fixture.Segments;
            var last = Enumerable.Range(0, random.Next(1, 6)).Select(i => new string('u', random.Next(0, 100)) + i).ToArray();
            await fixture.AppendGroupAndDieAsync(last);
            // Any 16 bytes of what the last group changed may be as they were before it.
            var now = fixture.Bytes(fixture.Segments);
            if (fixture.Segments > segments)
                before = now[..SegmentHeader.Size];
            for (int at = 0; at < now.Length; at += 16)
            {
                int end = Math.Min(at + 16, now.Length);
                if (random.Next(3) > 0)
                    continue;
                for (int i = at; i < end; i++)
                    now[i] = i < before.Length ? before[i] : (byte)0;
            }
            fixture.Replace(now, fixture.Segments);

            var entries = await fixture.ReadAsync();

            var expected = durable.Concat(last).Take(Math.Max(durable.Length, entries.Length)).ToList();
            Assert.Equal(expected, entries);
            await fixture.AppendAsync("after");
            Assert.Equal(expected.Append("after"), await fixture.ReadAsync());
        }
    }
}
