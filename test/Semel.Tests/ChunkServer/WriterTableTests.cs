using Semel.ChunkServer.Appending;
using Semel.Protocol;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Tests.ChunkServer;

public class WriterTableTests
{
    private static readonly WriterId Ann = new(7);

    [Fact]
    public void A_writer_is_known_from_its_init_on()
    {
        var table = new WriterTable();

        table.Apply(Init(1), 0);

        Assert.True(table.TryGet(Ann, out var entry));
        Assert.Equal((1u, 0UL), (entry.Epoch, entry.LastSequence));
    }

    [Fact]
    public void A_new_epoch_keeps_the_last_sequence()
    {
        var table = new WriterTable();
        table.Apply(Init(1), 0);
        table.Apply(Data(1, 1, 3), 0);

        table.Apply(Init(2), 0);

        Assert.True(table.TryGet(Ann, out var entry));
        Assert.Equal((2u, 3UL), (entry.Epoch, entry.LastSequence));
        Assert.True(entry.TryFind(2, out var place));
        Assert.Equal(1UL, place.FirstSequence);
    }

    [Fact]
    public void The_places_of_the_last_eight_batches_are_remembered()
    {
        var table = new WriterTable();
        table.Apply(Init(1), 0);

        for (uint i = 0; i < 9; i++)
            table.Apply(Data(1, 1 + i * 10, 10, offset: 64 * i), 0);

        Assert.True(table.TryGet(Ann, out var entry));
        Assert.False(entry.TryFind(10, out _));
        Assert.True(entry.TryFind(11, out var oldest));
        Assert.Equal(64u, oldest.Offset);
        Assert.True(entry.TryFind(90, out var newest));
        Assert.Equal(64u * 8, newest.Offset);
        Assert.Equal(90UL, entry.LastSequence);
    }

    [Fact]
    public void A_writer_that_was_evicted_is_unknown_and_so_is_every_id_up_to_it()
    {
        var table = new WriterTable();
        table.Apply(Init(1), 0);
        table.Apply(Data(1, 1, 3), 0);

        table.Apply(new FrameHeader { Kind = FrameKind.EvictWriter, Writer = Ann, Epoch = 1 }, 0);

        Assert.False(table.TryGet(Ann, out _));
        Assert.Equal(Ann, table.HighestEvicted);
        Assert.Throws<InvariantViolationException>(() => table.Apply(Init(2), 0));
        Assert.True(WriterTable.TryRead(table.ToBase(), out var carried, out _));
        Assert.Equal((Ann, 3UL), (carried.HighestEvicted, carried.FileRecords));
    }

    [Fact]
    public void The_longest_idle_writers_come_first()
    {
        var table = new WriterTable();
        for (uint i = 1; i <= 4; i++)
            table.Apply(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(i), Epoch = i, TimeMs = 1000 - (10 * i) }, 0);
        Assert.True(WriterTable.TryRead(table.ToBase(), out var carried, out _));

        Assert.Equal([(new WriterId(4), 4u), (new WriterId(3), 3u)], table.IdleSince(990, atMost: 2));
        Assert.Equal([(new WriterId(4), 4u), (new WriterId(3), 3u), (new WriterId(2), 2u)], carried.IdleSince(990, atMost: 10));
        Assert.Empty(table.IdleSince(960, 10));
    }

    [Fact]
    public void A_gap_in_a_writers_sequence_is_a_bug_that_stops_the_replica()
    {
        var table = new WriterTable();
        table.Apply(Init(1), 0);

        Assert.Throws<InvariantViolationException>(() => table.Apply(Data(1, 2, 1), 0));
    }

    [Fact]
    public void Anonymous_records_count_but_have_no_entry()
    {
        var table = new WriterTable();

        table.Apply(new FrameHeader { Kind = FrameKind.Data, RecordCount = 2, PayloadLength = 20 }, 0);

        Assert.Equal((0, 2UL, 12UL), (table.Count, table.FileRecords, table.FilePayloadBytes));
    }

    [Fact]
    public void A_base_gives_the_same_table_and_the_same_bytes_again()
    {
        var table = new WriterTable();
        foreach (ulong writer in (ReadOnlySpan<ulong>)[9, 3, 200])
        {
            table.Apply(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new(writer), Epoch = 4 }, 0);
            for (uint i = 0; i < writer % 11; i++)
                table.Apply(new FrameHeader { Kind = FrameKind.Data, Writer = new(writer), Epoch = 4, FirstSequence = i + 1, RecordCount = 1, PayloadLength = 9, Offset = i * 80, TimeMs = 5 }, 2);
        }

        byte[] bytes = table.ToBase();

        Assert.True(WriterTable.TryRead(bytes, out var copy, out _));
        Assert.Equal(bytes, copy.ToBase());
        Assert.Equal(table.FileRecords, copy.FileRecords);
        Assert.True(copy.TryGet(new(9), out var entry));
        Assert.Equal(9UL, entry.LastSequence);
        Assert.False(entry.TryFind(1, out _));
        Assert.True(entry.TryFind(2, out var place));
        Assert.Equal((2UL, 80u), (place.ChunkIndex, place.Offset));
    }

    [Fact]
    public void A_base_that_is_cut_short_anywhere_is_refused()
    {
        var table = new WriterTable();
        table.Apply(Init(1), 0);
        table.Apply(Data(1, 1, 3), 0);
        byte[] bytes = table.ToBase();

        for (int length = 1; length < bytes.Length; length++)
            Assert.False(WriterTable.TryRead(bytes.AsSpan(0, length), out _, out _), $"{length} bytes were accepted");
    }

    private static FrameHeader Init(uint epoch) => new() { Kind = FrameKind.InitWriter, Writer = Ann, Epoch = epoch };

    private static FrameHeader Data(uint epoch, ulong first, ushort count, uint offset = 0) =>
        new() { Kind = FrameKind.Data, Writer = Ann, Epoch = epoch, FirstSequence = first, RecordCount = count, PayloadLength = 100, Offset = offset };
}
