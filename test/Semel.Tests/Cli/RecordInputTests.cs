using System.Buffers.Binary;
using System.Text;
using Semel.Cli.Inputs;
using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

public class RecordInputTests
{
    [Theory]
    [InlineData("", new string[0])]
    [InlineData("a", new[] { "a" })]
    [InlineData("a\n", new[] { "a" })]
    [InlineData("a\nb", new[] { "a", "b" })]
    [InlineData("\n", new[] { "" })]
    [InlineData("a\n\nb\n", new[] { "a", "", "b" })]
    [InlineData("a\r\nb\r\n", new[] { "a\r", "b\r" })]
    public async Task A_line_is_a_record_without_its_end(string text, string[] expected)
    {
        Assert.Equal(expected, await ReadAsync(Encoding.UTF8.GetBytes(text), RecordFormat.Lines, 100));
    }

    [Fact]
    public async Task A_last_line_without_its_end_is_told_and_left_out_on_request()
    {
        foreach (var (text, complete, expected, open) in new[]
        {
            ("a\nhal", false, new[] { "a", "hal" }, (int?)3), ("a\nhal", true, ["a"], 3), ("a\nb\n", true, ["a", "b"], null), ("a\nb\n", false, ["a", "b"], null), ("", true, [], null),
        })
        {
            var input = new RecordInput(new PieceStream(Encoding.UTF8.GetBytes(text), new Random(1)), RecordFormat.Lines, 100, complete);
            var records = new List<string>();
            while (await input.ReadAsync(TestContext.Current.CancellationToken) is { } record)
                records.Add(Encoding.UTF8.GetString(record.Span));
            Assert.Equal(expected, records);
            Assert.Equal(open, input.OpenLineBytes);
        }
    }

    [Fact]
    public async Task Lines_are_the_same_however_the_input_arrives()
    {
        var random = new Random(7);
        var expected = Enumerable.Range(0, 300).Select(i => new string((char)('a' + i % 26), random.Next(i % 50 == 0 ? 200_000 : 300))).ToArray();
        byte[] bytes = Encoding.UTF8.GetBytes(string.Join('\n', expected) + "\n");

        Assert.Equal(expected, await ReadAsync(bytes, RecordFormat.Lines, 300_000, random));
    }

    [Fact]
    public async Task A_length_stands_before_each_record()
    {
        byte[] bytes = [3, 0, 0, 0, .. "a\nb"u8, 0, 0, 0, 0, 1, 0, 0, 0, .. "c"u8];

        Assert.Equal(["a\nb", "", "c"], await ReadAsync(bytes, RecordFormat.LengthPrefixed, 100, new Random(1)));
    }

    [Theory]
    [InlineData(new byte[] { 1, 0 })]
    [InlineData(new byte[] { 2, 0, 0, 0, 65 })]
    public async Task An_input_that_ends_within_a_record_is_refused(byte[] bytes)
    {
        await Assert.ThrowsAsync<CommandException>(() => ReadAsync(bytes, RecordFormat.LengthPrefixed, 100));
    }

    [Fact]
    public async Task A_lying_length_is_refused_before_anything_is_read_for_it()
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, uint.MaxValue);

        var e = await Assert.ThrowsAsync<CommandException>(() => ReadAsync(bytes, RecordFormat.LengthPrefixed, 100));

        Assert.Contains("Record 1 is larger than 100 bytes", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_of_the_input_can_be_one_record()
    {
        Assert.Equal(["a\nb\n"], await ReadAsync("a\nb\n"u8.ToArray(), RecordFormat.Whole, 100));
        Assert.Equal([""], await ReadAsync([], RecordFormat.Whole, 100));
    }

    [Theory]
    [InlineData(RecordFormat.Lines)]
    [InlineData(RecordFormat.Whole)]
    internal async Task A_record_of_the_limit_is_taken_and_a_larger_one_refused(RecordFormat format)
    {
        Assert.Single(await ReadAsync(new byte[100_000], format, 100_000));
        var e = await Assert.ThrowsAsync<CommandException>(() => ReadAsync(new byte[100_001], format, 100_000));
        Assert.Equal(ExitCode.WrongUsage, e.ExitCode);
    }

    private static async Task<string[]> ReadAsync(byte[] bytes, RecordFormat format, int limit, Random? pieces = null)
    {
        var input = new RecordInput(new PieceStream(bytes, pieces), format, limit);
        var records = new List<string>();
        while (await input.ReadAsync(TestContext.Current.CancellationToken) is { } record)
            records.Add(Encoding.UTF8.GetString(record.Span));
        return [.. records];
    }

    /// <summary>Gives its bytes in pieces of any size.</summary>
    private sealed class PieceStream(byte[] bytes, Random? pieces) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(pieces is null ? buffer : buffer[..Math.Min(buffer.Length, pieces.Next(1, 5000))], cancellationToken);
    }
}
