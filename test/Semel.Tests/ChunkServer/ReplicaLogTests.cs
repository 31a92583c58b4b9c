using Semel.ChunkServer.Replicas;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Storage.Chunks;
using Semel.Storage.Disks;
using Semel.Tests.Storage;

namespace Semel.Tests.ChunkServer;

public sealed class ReplicaLogTests : IDisposable
{
    private static readonly ChunkDescription Chunk = new(new ChunkHandle(42), new FileId(1), 3, ChunkLimits.MinCapacity, Durability.Group);
    private static readonly Ballot First = Ballot.OfVersion(1);
    private readonly TemporaryDirectory _directory = new();
    private readonly RealDisk _disk;

    public ReplicaLogTests() => _disk = new RealDisk(_directory.Path);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_scan_finds_what_was_appended()
    {
        var frames = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "a", "b");
        await WriteAsync(frames.Bytes);

        var log = Scan(out string? cut);

        Assert.Null(cut);
        Assert.Equal(frames.Tail, log.Tail);
        Assert.True(log.Table.TryGet(new WriterId(1), out var writer));
        Assert.Equal(2UL, writer.LastSequence);
        Assert.Equal([(First, 0u)], log.Lineage);
    }

    [Fact]
    public async Task A_sealed_log_that_let_go_of_its_table_gives_the_same_base_again()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First).Init(2, 1, First);
        for (ulong i = 1; i <= 20; i++)
            builder.Data(1, 1, i, First, 0, $"record {i}");
        await WriteAsync(builder.Data(2, 1, 1, First, 0, "other").Seal(First).Bytes);
        var log = Scan(out _);
        byte[] before = log.NextBase;

        log.ForgetTable();

        Assert.False(log.HasTable);
        Assert.Equal(before, log.NextBase);
        Assert.True(log.HasTable);
        Assert.True(log.Table.TryGet(new WriterId(1), out var writer));
        Assert.Equal((20UL, 8), (writer.LastSequence, writer.PlaceCount));
        Assert.Equal((13UL, 20UL), (writer.Place(0).FirstSequence, writer.Newest!.Value.LastSequence));
    }

    [Fact]
    public async Task A_log_that_ends_in_a_SEAL_tells_which_ballot_sequenced_it()
    {
        await WriteAsync(new LogBuilder(Chunk.Handle).Init(1, 1, First).Seal(First.NextAttempt()).Bytes);

        var log = Scan(out _);
        ulong ballot = log.SealBallot;
        log.Cut(64);

        Assert.Equal((First.NextAttempt().Value, 0UL), (ballot, log.SealBallot));
    }

    [Fact]
    public async Task A_torn_tail_is_cut_at_every_length()
    {
        var whole = new LogBuilder(Chunk.Handle).Init(1, 1, First);
        uint good = whole.Tail;
        byte[] frames = whole.Data(1, 1, 1, First, good, "torn").Bytes;
        for (int length = (int)good + 1; length < frames.Length; length++)
        {
            await WriteAsync(frames[..length]);

            var log = Scan(out string? cut);

            Assert.NotNull(cut);
            Assert.Equal(good, log.Tail);
            Assert.Equal(good, log.Files.Length);
            Assert.False(log.CommittedHint > log.Tail, "a torn tail is no damage");
        }
    }

    [Fact]
    public async Task Whatever_bit_of_the_last_durable_frame_rots_it_is_damage_and_its_bytes_stay()
    {
        var whole = new LogBuilder(Chunk.Handle).Init(1, 1, First);
        uint good = whole.Tail;
        byte[] frames = whole.Data(1, 1, 1, First, 0, "last").Bytes;
        for (int bit = (int)good * 8; bit < frames.Length * 8; bit++)
        {
            byte[] rotten = [.. frames];
            rotten[bit / 8] ^= (byte)(1 << bit % 8);
            await WriteAsync(rotten, durable: (uint)frames.Length);

            using var files = Scan(out _, out var log);

            Assert.True(log.IsDamaged, $"bit {bit}");
            Assert.Equal((good, (uint)frames.Length), (log.Tail, log.OnceHeld));
            Assert.Equal(rotten, ReadFile());
        }
    }

    [Fact]
    public async Task At_whatever_length_the_durable_frames_are_cut_off_it_is_damage()
    {
        var whole = new LogBuilder(Chunk.Handle).Init(1, 1, First);
        byte[] frames = whole.Data(1, 1, 1, First, 0, "last").Bytes;
        for (int length = 0; length < frames.Length; length++)
        {
            await WriteAsync(frames[..length], durable: (uint)frames.Length);

            using var files = Scan(out _, out var log);

            Assert.True(log.IsDamaged, $"cut to {length}");
        }
    }

    [Fact]
    public async Task Behind_the_durable_frames_a_torn_tail_is_cut_as_ever()
    {
        var whole = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "durable");
        uint durable = whole.Tail;
        byte[] frames = whole.Data(1, 1, 2, First, 0, "torn").Bytes;
        for (int length = (int)durable + 1; length < frames.Length; length++)
        {
            await WriteAsync(frames[..length], durable: durable);

            using var files = Scan(out string? cut, out var log);

            Assert.NotNull(cut);
            Assert.False(log.IsDamaged);
            Assert.Equal((durable, durable), (log.Tail, (uint)ReadFile().Length));
        }
    }

    [Fact]
    public async Task What_was_durable_counts_no_more_once_it_was_cut_by_right()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First);
        uint kept = builder.Tail;
        byte[] frames = builder.Data(1, 1, 1, First, 0, "cut").Bytes;
        await WriteAsync(frames, durable: (uint)frames.Length);
        using (var files = Scan(out _, out var log))
        {
            await log.Files.LowerDurableAsync(kept);
            log.Cut(kept);
        }

        using var again = Scan(out _, out var found);

        Assert.False(found.IsDamaged);
        Assert.Equal(kept, found.Tail);
    }

    [Theory]
    [InlineData("the last frame again")]
    [InlineData("a frame of nobody")]
    [InlineData("a frame of an older ballot")]
    [InlineData("a frame behind the SEAL")]
    public async Task Frames_whose_checksums_are_right_and_that_cannot_follow_end_the_log_and_are_no_bug_of_ours(string odd)
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, Ballot.OfVersion(2)).Data(1, 1, 1, Ballot.OfVersion(2), 0, "good");
        if (odd == "a frame behind the SEAL")
            builder.Seal(Ballot.OfVersion(2));
        uint good = builder.Tail;
        byte[] frames = (odd switch
        {
            "the last frame again" => builder.Data(1, 1, 1, Ballot.OfVersion(2), 0, "good"),
            "a frame of nobody" => builder.Data(7, 1, 1, Ballot.OfVersion(2), 0, "whose?"),
            "a frame of an older ballot" => builder.Data(1, 1, 2, First, 0, "old"),
            _ => builder.Data(1, 1, 2, Ballot.OfVersion(2), 0, "late"),
        }).Bytes;
        await WriteAsync(frames);

        using var files = Scan(out string? cut, out var log);

        Assert.NotNull(cut);
        Assert.Equal(good, log.Tail);
        Assert.NotNull(log.TryAppend(frames.AsSpan((int)good), Ballot.OfVersion(2)));
        Assert.Equal((good, good), (log.Tail, log.Files.Length));
        Assert.True(log.Table.TryGet(new WriterId(1), out var writer));
        Assert.Equal(1UL, writer.LastSequence);
        if (!log.EndsInSeal)
            Assert.Null(log.TryAppend(new LogBuilder(Chunk.Handle).Init(1, 1, Ballot.OfVersion(2)).Data(1, 1, 1, Ballot.OfVersion(2), 0, "good")
                .Data(1, 1, 2, Ballot.OfVersion(2), 0, "next").Bytes.AsSpan((int)good), Ballot.OfVersion(2)));
    }

    [Fact]
    public async Task A_file_that_is_longer_than_its_chunk_may_be_is_read_as_far_as_it_is_good()
    {
        byte[] frames = new LogBuilder(Chunk.Handle).Init(1, 1, First).Bytes;
        await WriteAsync(frames);
        using (var stream = new FileStream(Path.Combine(_directory.Path, "chunks/2a/000000000000002a.chunk"), FileMode.Open))
            stream.SetLength(Chunk.Capacity + 1000L);

        using var files = Scan(out _, out var log);

        Assert.False(log.IsDamaged);
        Assert.Equal((uint)frames.Length, log.Tail);
        Assert.Equal(frames, ReadFile());
    }

    [Fact]
    public async Task A_torn_first_frame_is_no_damage()
    {
        byte[] frames = new LogBuilder(Chunk.Handle).Seal(First).Bytes;
        for (int length = 1; length < frames.Length; length++)
        {
            await WriteAsync(frames[..length]);

            var log = Scan(out _);

            Assert.Equal(0u, log.Files.Length);
            Assert.False(log.IsDamaged);
        }
    }

    [Fact]
    public async Task Rotten_bytes_below_what_was_committed_are_damage_and_not_a_torn_tail()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "rots");
        uint committed = builder.Tail;
        byte[] frames = builder.Data(1, 1, 2, First, committed, "intact").Bytes;
        frames[64 + 64 + 5] ^= 1;
        await WriteAsync(frames);

        var log = Scan(out _);

        Assert.Equal(64u, log.Tail);
        Assert.Equal(committed, log.CommittedHint);
    }

    [Fact]
    public async Task A_damaged_log_that_an_operator_decided_for_is_what_verifies_of_it_and_goes_on_from_there()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "rots");
        byte[] frames = builder.Data(1, 1, 2, First, builder.Tail, "intact").Bytes;
        frames[64 + 64 + 5] ^= 1;
        await WriteAsync(frames);
        var log = Scan(out _);

        await log.GiveUpDamageAsync();
        string? refused = log.TryAppend(new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "anew").Bytes.AsSpan(64), First);

        Assert.Null(refused);
        Assert.False(log.IsDamaged);
        Assert.True(log.Tail > 64);
        Assert.Equal(log.Tail, Scan(out string? cut).Tail);
        Assert.Null(cut);
    }

    [Fact]
    public async Task What_was_durable_of_a_damaged_log_that_an_operator_decided_for_is_not_missed_when_it_crashes_at_once()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First);
        uint good = builder.Tail;
        byte[] frames = builder.Data(1, 1, 1, First, 0, "rots").Bytes;
        frames[^1] ^= 1;
        await WriteAsync(frames, durable: (uint)frames.Length);
        using (var files = Scan(out _, out var log))
        {
            Assert.Equal((good, (uint)frames.Length), (log.Tail, log.Durable));
            await log.GiveUpDamageAsync();
        }

        using var again = Scan(out string? cut, out var found);

        Assert.Null(cut);
        Assert.False(found.IsDamaged);
        Assert.Equal((good, good), (found.Tail, found.Durable));
    }

    [Fact]
    public async Task Frames_of_another_chunk_are_not_taken_for_its_own()
    {
        await WriteAsync(new LogBuilder(new ChunkHandle(43)).Init(1, 1, First).Bytes);

        var log = Scan(out string? cut);

        Assert.Equal(0u, log.Tail);
        Assert.NotNull(cut);
        Assert.True(log.IsDamaged, "what was in the place of the foreign file is gone");
    }

    [Fact]
    public async Task A_cut_rebuilds_the_table_the_lineage_and_the_chain()
    {
        var second = Ballot.OfVersion(2);
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "kept");
        uint keep = builder.Tail;
        byte[] kept = builder.Bytes;
        await WriteAsync(builder.Data(1, 1, 2, second, 0, "cut").Bytes);
        var log = Scan(out _);

        log.Cut(keep);

        Assert.Equal(keep, log.Tail);
        Assert.True(log.Table.TryGet(new WriterId(1), out var writer));
        Assert.Equal(1UL, writer.LastSequence);
        Assert.Equal([(First, 0u)], log.Lineage);
        var again = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "kept").Data(1, 1, 2, second, 0, "other");
        Assert.Equal(kept, again.Bytes[..(int)keep]);
        Assert.Null(log.TryAppend(again.Bytes.AsSpan((int)keep), second));
    }

    [Fact]
    public async Task Frames_that_do_not_continue_the_log_are_refused_whole()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First);
        await WriteAsync(builder.Bytes);
        var log = Scan(out _);
        uint tail = log.Tail;
        byte[] next = builder.Data(1, 1, 1, First, 0, "one").Data(1, 1, 2, First, 0, "two").Bytes[(int)tail..];

        for (int i = 0; i < next.Length; i++)
        {
            byte[] flipped = [.. next];
            flipped[i] ^= 0x10;
            Assert.NotNull(log.TryAppend(flipped, First));
        }

        Assert.Equal(tail, log.Tail);
        Assert.Null(log.TryAppend(next, First));
    }

    [Fact]
    public async Task Nothing_follows_a_seal()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First).Seal(First);
        await WriteAsync(builder.Bytes);
        var log = Scan(out _);

        byte[] after = builder.Data(1, 1, 1, First, 0, "late").Bytes[(int)log.Tail..];

        Assert.True(log.EndsInSeal);
        Assert.Contains("follows the SEAL", log.TryAppend(after, First));
    }

    [Fact]
    public async Task A_sealed_log_is_not_read_until_somebody_needs_its_table()
    {
        var builder = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "x").Seal(First);
        await WriteAsync(builder.Bytes, isSealed: true);

        var log = Scan(out _);

        Assert.Equal((builder.Tail, true), (log.Tail, log.EndsInSeal));
        Assert.True(log.Table.TryGet(new WriterId(1), out var writer));
        Assert.Equal(1UL, writer.LastSequence);
        Assert.Equal([(First, 0u)], log.Lineage);
    }

    [Fact]
    public async Task A_sealed_log_that_rotted_stays_as_it_was_when_its_table_is_wanted()
    {
        byte[] frames = new LogBuilder(Chunk.Handle).Init(1, 1, First).Data(1, 1, 1, First, 0, "a").Seal(First).Bytes;
        frames[FrameHeader.Size + FrameHeader.Size + 1] ^= 1;
        await WriteAsync(frames, isSealed: true);
        var log = Scan(out _);

        Assert.Throws<DamageException>(() => log.Table);

        Assert.Equal((uint)frames.Length, log.Tail);
        Assert.True(log.EndsInSeal);
        Assert.Throws<DamageException>(() => log.Table);
    }

    private async Task WriteAsync(byte[] frames, bool isSealed = false, uint durable = 0)
    {
        using var files = await ChunkFiles.CreateAsync(_disk, Chunk, []);
        files.Append(frames);
        await files.FlushAsync();
        if (isSealed)
            await files.WriteMetadataAsync(First, First, files.Length, isSealed: true);
        else if (durable > 0)
            await files.WriteMetadataAsync(First, First, 0, isSealed: false, durable: durable);
    }

    private byte[] ReadFile() => File.ReadAllBytes(Path.Combine(_directory.Path, "chunks/2a/000000000000002a.chunk"));

    private ChunkFiles Scan(out string? cut, out ReplicaLog log)
    {
        log = Scan(out cut);
        return log.Files;
    }

    private ReplicaLog Scan(out string? cut)
    {
        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var files, out var fault), $"{fault}");
        Assert.True(ReplicaLog.TryScan(files, out var log, out cut, out string? problem), problem);
        return log;
    }
}
