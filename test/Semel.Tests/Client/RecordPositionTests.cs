using Semel.Client;

namespace Semel.Tests.Client;

public sealed class RecordPositionTests
{
    [Theory]
    [InlineData("0:0:0")]
    [InlineData("3:4096:17")]
    [InlineData("12-3:4096:17")]
    [InlineData("18446744073709551615-0:0:0")]
    [InlineData("18446744073709551615:4294967295:5")]
    [InlineData("end")]
    public void A_position_survives_its_text(string text)
    {
        Assert.True(RecordPosition.TryParse(text, out var position));
        Assert.Equal(text, position.ToString());
        Assert.Equal(position, RecordPosition.Parse(text));
    }

    [Fact]
    public void Start_is_where_a_file_begins() => Assert.Equal(RecordPosition.Start, RecordPosition.Parse("start"));

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("1:2")]
    [InlineData("1:2:3:4")]
    [InlineData("-1:2:3")]
    [InlineData("0-1:2:3")]
    [InlineData("7-8-1:2:3")]
    [InlineData("7:1:2:3")]
    [InlineData("18446744073709551616-1:2:3")]
    [InlineData("7-end")]
    [InlineData("1: 2:3")]
    [InlineData("1:2:-3")]
    [InlineData("1:4294967296:3")]
    [InlineData("1:2:2147483648")]
    [InlineData("End")]
    public void Anything_else_is_refused(string? text)
    {
        Assert.False(RecordPosition.TryParse(text, out _));
        if (text is not null)
            Assert.Contains(text, Assert.Throws<FormatException>(() => RecordPosition.Parse(text)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Positions_sort_as_the_file_does()
    {
        RecordPosition[] sorted = [RecordPosition.Start, new(0, 0, 1), new(0, 64, 0), new(1, 0, 0), RecordPosition.End];

        Assert.Equal(sorted, sorted.Reverse().Order());
        Assert.True(sorted[0] < sorted[1] && sorted[3] > sorted[2] && sorted[1] >= sorted[1] && sorted[1] <= sorted[1]);
        Assert.Equal(new RecordPosition(1, 2, 4), new RecordPosition(1, 2, 3).Next);
        Assert.Equal(RecordPosition.End, RecordPosition.End.Next);
    }

    [Fact]
    public void The_file_goes_along_and_does_not_count_in_the_order()
    {
        var position = new RecordPosition(1, 2, 3, FileId: 7);

        Assert.Equal("7-1:2:4", position.Next.ToString());
        Assert.NotEqual(new RecordPosition(1, 2, 3), position);
        Assert.Equal(0, position.CompareTo(new RecordPosition(1, 2, 3)));
        Assert.True(position < new RecordPosition(1, 2, 4));
    }
}
