using Semel.Protocol.Frames;
using Xunit;

namespace Semel.Tests.Protocol;

public sealed class RecordBatchTests
{
    private static byte[] Batch(params byte[][] records)
    {
        var payload = new byte[records.Sum(r => RecordBatch.Footprint(r.Length))];
        int at = 0;
        foreach (var record in records)
            at += RecordBatch.Write(payload.AsSpan(at), record);
        Assert.Equal(payload.Length, at);
        return payload;
    }

    [Fact]
    public void Records_come_out_as_they_went_in_and_an_empty_record_is_a_record()
    {
        byte[][] records = [[1, 2, 3], [], [4], []];
        var payload = Batch(records);
        ReadOnlySpan<byte> rest = payload;

        foreach (var record in records)
        {
            Assert.True(RecordBatch.TryTake(ref rest, out var taken));
            Assert.Equal(record, taken.ToArray());
        }
        Assert.False(RecordBatch.TryTake(ref rest, out _));
        Assert.True(rest.IsEmpty);
        Assert.True(RecordBatch.IsWellFormed(payload, 4));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(uint.MaxValue)]
    public void A_wrong_count_is_malformed(uint count) => Assert.False(RecordBatch.IsWellFormed(Batch([1], [2], [3]), count));

    [Fact]
    public void No_records_are_well_formed_only_when_none_are_said() => Assert.True(RecordBatch.IsWellFormed([], 0));

    [Fact]
    public void A_batch_cut_at_any_byte_is_malformed()
    {
        var payload = Batch([1, 2, 3], [], [4]);
        for (int length = 0; length < payload.Length; length++)
            Assert.False(RecordBatch.IsWellFormed(payload.AsSpan(0, length), 3));
    }

    [Theory]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff })]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0x7f, 1 })]
    [InlineData(new byte[] { 2, 0, 0, 0, 1 })]
    [InlineData(new byte[] { 1, 0, 0 })]
    public void A_length_that_lies_is_malformed_and_takes_nothing(byte[] payload)
    {
        ReadOnlySpan<byte> rest = payload;

        Assert.False(RecordBatch.TryTake(ref rest, out var record));
        Assert.True(record.IsEmpty);
        Assert.Equal(payload.Length, rest.Length);
        Assert.False(RecordBatch.IsWellFormed(payload, 1));
    }

    [Fact]
    public void Bytes_behind_the_last_record_are_malformed() => Assert.False(RecordBatch.IsWellFormed([.. Batch([1]), 0], 1));
}
