using Semel.Protocol.Naming;
using Xunit;

namespace Semel.Tests.Protocol;

public sealed class FilePathTests
{
    [Theory]
    [InlineData("/")]
    [InlineData("/a")]
    [InlineData("/logs/app.2024-01-01")]
    [InlineData("/...")]
    [InlineData("/.hidden/..x")]
    [InlineData("/with space/日本語/😀")]
    public void Absolute_paths_of_named_components_are_valid(string path) => Assert.True(FilePath.TryValidate(path, out _));

    [Theory]
    [InlineData(null, "is empty")]
    [InlineData("", "is empty")]
    [InlineData("a/b", "is not absolute. Begin it with a slash: /a/b")]
    [InlineData("//", "empty component")]
    [InlineData("/a//b", "empty component")]
    [InlineData("/a/", "empty component")]
    [InlineData("/.", "component '.'")]
    [InlineData("/a/../b", "component '..'")]
    [InlineData("/a\0b", "U+0000")]
    [InlineData("/a\nb", "U+000A")]
    [InlineData("/a\u007f", "U+007F")]
    [InlineData("/a\u0085", "U+0085")]
    public void Anything_else_is_refused_with_the_rule(string? path, string rule)
    {
        Assert.False(FilePath.TryValidate(path, out string? fault));
        Assert.Contains(rule, fault, StringComparison.Ordinal);
        Assert.DoesNotContain(fault, char.IsControl);
    }

    [Fact]
    public void Halves_of_a_character_are_refused()
    {
        // Not as data of the test: an attribute keeps strings in UTF-8, which has no halves.
        foreach (string path in new[] { "/\ud800", "/\udc00a", "/a\ud83d/b" })
        {
            Assert.False(FilePath.TryValidate(path, out string? fault));
            Assert.Contains("not valid Unicode", fault, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Lengths_are_counted_in_bytes_of_utf_8()
    {
        Assert.True(FilePath.TryValidate("/" + new string('a', 255), out _));
        Assert.True(FilePath.TryValidate("/" + new string('ä', 127), out _));
        Assert.False(FilePath.TryValidate("/" + new string('a', 256), out string? longComponent));
        Assert.False(FilePath.TryValidate("/" + new string('ä', 128), out _));
        Assert.Contains("256 bytes; 255 are allowed", longComponent, StringComparison.Ordinal);

        string longest = string.Concat(Enumerable.Repeat("/" + new string('b', 255), 16));
        Assert.Equal(FilePath.MaxBytes, longest.Length);
        Assert.True(FilePath.TryValidate(longest, out _));
        Assert.False(FilePath.TryValidate(longest + "/c", out string? longPath));
        Assert.Contains("4098 bytes; 4096 are allowed", longPath, StringComparison.Ordinal);
        Assert.True(longPath.Length < 200);
    }

    [Fact]
    public void A_path_is_split_into_its_components()
    {
        Assert.Empty(FilePath.Split("/"));
        Assert.Equal(["a", "b c"], FilePath.Split("/a/b c"));
    }
}
