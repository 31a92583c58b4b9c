using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Xunit;

namespace Semel.Tests.Protocol;

public sealed class FrameTests
{
    private static readonly uint Seed = FrameHeader.ChainSeed(new ChunkHandle(0x1234));

    /// <summary>Frames in a row from offset 0, one record each.</summary>
    private static byte[] Frames(params string[] records)
    {
        var chunk = new MemoryStream();
        uint chain = Seed;
        ulong sequence = 1;
        foreach (string record in records)
        {
            var payload = new byte[RecordBatch.Footprint(record.Length)];
            RecordBatch.Write(payload, System.Text.Encoding.ASCII.GetBytes(record));
            var header = new FrameHeader
            {
                Kind = FrameKind.Data,
                RecordCount = 1,
                PayloadLength = (uint)payload.Length,
                TimeMs = 1_700_000_000_000,
                Offset = (uint)chunk.Length,
                Ballot = Ballot.OfVersion(3),
                Writer = new WriterId(7),
                Epoch = 2,
                FirstSequence = sequence++,
                Committed = 0,
                Chain = chain,
                PayloadCrc = Crc32C.Compute(payload),
            };
            var frame = new byte[header.FrameLength];
            chain = header.Write(frame);
            payload.CopyTo(frame.AsSpan(FrameHeader.Size));
            chunk.Write(frame);
        }
        return chunk.ToArray();
    }

    private static (int Frames, string? Fault) Read(byte[] bytes, uint offset = 0, uint? chain = null)
    {
        var reader = new FrameReader(bytes, offset, chain ?? Seed);
        int frames = 0;
        while (reader.Read())
            frames++;
        return (frames, reader.Fault);
    }

    [Fact]
    public void A_header_is_read_back_as_it_was_written()
    {
        Prop.ForAll(Headers(), header =>
        {
            Span<byte> bytes = stackalloc byte[FrameHeader.Size];
            uint crc = header.Write(bytes);

            Assert.True(FrameHeader.TryRead(bytes, out var read, out _));
            Assert.Equal(header with { HeaderCrc = crc }, read);
        }).QuickCheckThrowOnFailure();
    }

    private static Arbitrary<FrameHeader> Headers()
    {
        var random = ArbMap.Default.GeneratorFor<ulong>();
        var numbers = Gen.ArrayOf(random, 9);
        return numbers.Select(n => new FrameHeader
        {
            Kind = (FrameKind)(n[0] % 4 + 1),
            RecordCount = (ushort)(n[0] >> 8),
            PayloadLength = (uint)n[1],
            TimeMs = (long)(n[2] & 0xffff_ffff_ffff),
            Offset = (uint)n[3],
            Ballot = new Ballot(n[4]),
            Writer = new WriterId(n[5]),
            FirstSequence = n[6],
            Epoch = (uint)n[7],
            Committed = (uint)(n[7] >> 32),
            Chain = (uint)n[8],
            PayloadCrc = (uint)(n[8] >> 32),
        }).ToArbitrary();
    }

    [Fact]
    public void Frames_in_a_row_are_read_to_the_clean_end()
    {
        Assert.Equal((4, null), Read(Frames("", "a", "1234", "a longer record")));
        Assert.Equal((0, null), Read([]));
    }

    [Fact]
    public void Every_flipped_bit_of_a_frame_is_refused()
    {
        var whole = Frames("first", "second");
        int start = Frames("first").Length;
        for (int bit = 0; bit < whole.Length * 8; bit++)
        {
            var damaged = (byte[])whole.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));

            var (frames, fault) = Read(damaged);

            Assert.Equal(bit / 8 < start ? 0 : 1, frames);
            Assert.StartsWith($"at offset {(frames == 0 ? 0 : start)}: ", fault, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_frame_cut_at_any_byte_is_refused()
    {
        var whole = Frames("first", "second");
        int start = Frames("first").Length;
        for (int length = start + 1; length < whole.Length; length++)
        {
            var (frames, fault) = Read(whole[..length]);

            Assert.Equal(1, frames);
            Assert.NotNull(fault);
        }
    }

    [Fact]
    public void A_good_frame_in_the_wrong_place_or_behind_another_one_is_refused()
    {
        var first = Frames("first");
        var second = Frames("first", "second")[first.Length..];

        Assert.Equal(0, Read(second).Frames);
        Assert.Equal(0, Read(first, offset: 8).Frames);
        Assert.Equal(0, Read(first, chain: Seed + 1).Frames);
        Assert.Equal(0, Read(first, chain: FrameHeader.ChainSeed(new ChunkHandle(0x1235))).Frames);
        Assert.Equal(1, Read(second, offset: (uint)first.Length, chain: Frames("first") is var f ? BinaryPrimitives.ReadUInt32LittleEndian(f) : 0).Frames);
    }

    [Fact]
    public void A_reader_that_knows_no_chain_takes_the_first_frames_word_and_checks_from_there()
    {
        var bytes = Frames("first", "second", "third");
        int start = Frames("first").Length;

        var reader = new FrameReader(bytes.AsSpan(start), (uint)start, chain: null);
        Assert.True(reader.Read());
        Assert.True(reader.Read());
        Assert.False(reader.Read());
        Assert.Null(reader.Fault);
    }

    [Fact]
    public void A_header_that_lies_about_its_length_is_refused_before_anything_is_read()
    {
        foreach (uint length in new[] { 1_000u, 0x7fff_ffb8u, 0x7fff_ffffu, 0xffff_fff8u, uint.MaxValue })
        {
            var bytes = new byte[FrameHeader.Size];
            new FrameHeader { Kind = FrameKind.Data, PayloadLength = length, Chain = Seed }.Write(bytes);

            var (frames, fault) = Read(bytes);

            Assert.Equal(0, frames);
            Assert.Contains($"{length} bytes long", fault, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(12, 0, "unknown frame kind 0")]
    [InlineData(12, 5, "unknown frame kind 5")]
    [InlineData(13, 1, "unknown frame flags 01")]
    [InlineData(4, 0, "no frame magic")]
    public void What_a_newer_version_may_have_written_is_refused_although_its_checksum_is_right(int at, byte value, string fault)
    {
        var bytes = Frames("a");
        bytes[at] = value;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Crc32C.Compute(bytes.AsSpan(4, FrameHeader.Size - 4)));

        Assert.Contains(fault, Read(bytes).Fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_bytes_are_never_a_frame_and_never_an_exception()
    {
        var random = new Random(5);
        var frame = Frames("a record");
        for (int round = 0; round < 20_000; round++)
        {
            var bytes = new byte[random.Next(200)];
            random.NextBytes(bytes);
            if (round % 2 == 0)
                frame.AsSpan(0, Math.Min(random.Next(FrameHeader.Size), bytes.Length)).CopyTo(bytes);

            Assert.Equal(0, Read(bytes).Frames);
        }
    }
}
