using System.Buffers.Binary;
using Semel.Cli.Verification;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Tests.Cli;

public class FileFoldTests
{
    private readonly List<Finding> _findings = [];
    private readonly FileFold _fold;
    private uint _offset;

    public FileFoldTests() => _fold = new FileFold(_findings.Add);

    [Fact]
    public void Dense_sequences_of_many_writers_leave_nothing_to_say()
    {
        Init(1, 1);
        Init(2, 1);
        Data(1, 1, first: 1, count: 3);
        Data(2, 1, first: 1, count: 1);
        Data(1, 1, first: 4, count: 1);
        Init(1, 2);
        Data(1, 2, first: 5, count: 2);
        Data(0, 0, first: 0, count: 5);

        Assert.Empty(_findings);
        Assert.Equal((12L, 0L, 0L), (_fold.Records, _fold.Duplicates, _fold.Gaps));
    }

    [Fact]
    public void Each_sequence_that_is_there_again_is_a_duplicate()
    {
        Init(1, 1);
        Data(1, 1, first: 1, count: 5);
        Data(1, 1, first: 4, count: 4);

        Assert.Equal((2L, 0L), (_fold.Duplicates, _fold.Gaps));
        Assert.Contains("chunk 3, offset 200: record 4 of writer 1 is there again, after 5", Assert.Single(_findings).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Each_sequence_that_is_left_out_is_a_gap()
    {
        Init(1, 1);
        Data(1, 1, first: 1, count: 5);
        Data(1, 1, first: 8, count: 1);

        Assert.Equal((0L, 2L), (_fold.Duplicates, _fold.Gaps));
        Assert.Equal(FindingKind.Gap, Assert.Single(_findings).Kind);
    }

    [Fact]
    public void A_record_of_an_epoch_that_was_fenced_is_a_contradiction()
    {
        Init(1, 1);
        Init(1, 2);
        Data(1, 1, first: 1, count: 1);

        Assert.Equal(FindingKind.Corrupt, Assert.Single(_findings).Kind);
    }

    [Fact]
    public void An_epoch_that_goes_back_and_a_frame_behind_the_SEAL_are_contradictions()
    {
        Init(1, 2);
        Init(1, 1);
        Seal(records: 0, bytes: 0, writers: 1);
        Init(2, 1);

        Assert.Equal([FindingKind.Corrupt, FindingKind.Corrupt], _findings.Select(f => f.Kind));
    }

    [Fact]
    public void Sequences_and_epochs_that_go_back_are_found_across_chunks_too()
    {
        Init(1, 3);
        Data(1, 3, first: 1, count: 5);
        Seal(records: 5, bytes: 10, writers: 1);
        _fold.BeginChunk();
        Data(1, 3, first: 3, count: 1);
        Init(1, 2);

        Assert.Equal([FindingKind.Duplicate, FindingKind.Corrupt], _findings.Select(f => f.Kind));
        Assert.Contains("epoch 2 of writer 1 comes after epoch 3", _findings[1].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_ballot_that_goes_back_within_a_chunk_is_a_contradiction()
    {
        Add(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(1), Epoch = 1, Ballot = Ballot.OfVersion(3) }, []);
        Add(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(2), Epoch = 1, Ballot = Ballot.OfVersion(2) }, []);
        Assert.Contains("its ballot", Assert.Single(_findings).Text, StringComparison.Ordinal);

        _fold.BeginChunk();
        Add(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(3), Epoch = 1, Ballot = Ballot.OfVersion(1) }, []);
        Assert.Single(_findings);
    }

    [Fact]
    public void A_watermark_beyond_its_frame_is_a_contradiction()
    {
        Add(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(1), Epoch = 1, Committed = 5000 }, []);

        Assert.Contains("5000 bytes before it are committed", Assert.Single(_findings).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_writer_that_comes_back_after_it_was_forgotten_is_a_contradiction()
    {
        Init(1, 1);
        Init(2, 1);
        Add(new FrameHeader { Kind = FrameKind.EvictWriter, Writer = new WriterId(2), Epoch = 1 }, []);
        Init(3, 1);
        Assert.Empty(_findings);

        Init(2, 2);

        Assert.Equal(FindingKind.Corrupt, Assert.Single(_findings).Kind);
    }

    [Theory]
    [InlineData(3, 6, 1, true)]
    [InlineData(4, 6, 1, false)]
    [InlineData(3, 7, 1, false)]
    [InlineData(3, 6, 2, false)]
    public void A_SEAL_sums_up_what_was_there(ulong records, ulong bytes, uint writers, bool agrees)
    {
        Init(1, 1);
        Data(1, 1, first: 1, count: 3);

        Seal(records, bytes, writers);

        Assert.Equal(agrees, _findings.Count == 0);
    }

    [Theory]
    [InlineData(3, 1, null)]
    [InlineData(4, 1, "sequence 4")]
    [InlineData(3, 2, "epoch 2")]
    public void A_base_says_where_each_writer_is(ulong last, uint epoch, string? fault)
    {
        Init(1, 1);
        Data(1, 1, first: 1, count: 3);
        byte[] bytes = new byte[72];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 0x32414253);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), 3);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(40), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(48), last);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(64), epoch);
        Seal(records: 3, bytes: 6, writers: 1, digest: Crc32C.Compute(bytes));

        string? found = _fold.FaultOfBase(bytes);
        bytes[8] ^= 1;

        Assert.True(fault is null ? found is null : found!.Contains(fault, StringComparison.Ordinal), found);
        Assert.Contains("digest", _fold.FaultOfBase(bytes), StringComparison.Ordinal);
    }

    private void Init(ulong writer, uint epoch) => Add(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(writer), Epoch = epoch }, []);

    /// <summary>Records of two bytes.</summary>
    private void Data(ulong writer, uint epoch, ulong first, ushort count) =>
        Add(new FrameHeader { Kind = FrameKind.Data, Writer = new WriterId(writer), Epoch = epoch, FirstSequence = first, RecordCount = count }, new byte[count * 6]);

    private void Seal(ulong records, ulong bytes, uint writers, uint digest = 0)
    {
        byte[] payload = new byte[32];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, _offset);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(4), digest);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(8), records);
        BinaryPrimitives.WriteUInt64LittleEndian(payload.AsSpan(16), bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(24), writers);
        Add(new FrameHeader { Kind = FrameKind.Seal }, payload);
    }

    private void Add(FrameHeader frame, byte[] payload)
    {
        _fold.Add(3, frame with { Offset = _offset, PayloadLength = (uint)payload.Length }, payload);
        _offset += 100;
    }
}
