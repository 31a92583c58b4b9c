using System.Text;
using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

public sealed class ExcerptTests
{
    [Theory]
    [InlineData("", 0, "'' (0 bytes)")]
    [InlineData("hal", 3, "'hal' (3 bytes)")]
    [InlineData("a\tb\r", 0, "'a.b.' (4 bytes)")]
    [InlineData("0123456789012345678901234567890123456789x", 5, "'0123456789012345678901234567890123456789...' (41 bytes)")]
    [InlineData("0123456789012345678901234567890123456789x", 40, "'...23456789x' (41 bytes)")]
    [InlineData("\u00e4\u00f6\u00fc", 0, "'\u00e4\u00f6\u00fc' (6 bytes)")]
    public void What_differs_is_shown(string record, int difference, string expected) =>
        Assert.Equal(expected, Excerpt.At(Encoding.UTF8.GetBytes(record), difference));

    [Fact]
    public void A_character_that_is_cut_in_two_is_left_out()
    {
        byte[] record = Encoding.UTF8.GetBytes(new string('x', 39) + "\u00e4rest");

        Assert.Equal($"'{new string('x', 39)}...' (45 bytes)", Excerpt.At(record, 0));
    }
}
