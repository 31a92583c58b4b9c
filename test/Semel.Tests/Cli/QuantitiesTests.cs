using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

public class QuantitiesTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1048576", 1 << 20)]
    [InlineData("64MiB", 64 << 20)]
    [InlineData("64 mib", 64 << 20)]
    [InlineData("1kB", 1000)]
    [InlineData("7B", 7)]
    public void A_size_is_a_whole_number_with_an_optional_unit(string text, long expected)
    {
        Assert.True(Quantities.TryParseSize(text, out long bytes, out _));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("1.5MiB")]
    [InlineData("MiB")]
    [InlineData("64M")]
    [InlineData("99999999999TiB")]
    public void What_is_no_size_is_refused_with_its_text(string text)
    {
        Assert.False(Quantities.TryParseSize(text, out _, out string? fault));
        Assert.Contains($"'{text}'", fault, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("30s", 30_000)]
    [InlineData("1.5s", 1_500)]
    [InlineData("2m", 120_000)]
    [InlineData("1h", 3_600_000)]
    public void A_duration_is_a_number_with_a_unit(string text, double milliseconds)
    {
        Assert.True(Quantities.TryParseDuration(text, out var duration, out _));
        Assert.Equal(milliseconds, duration.TotalMilliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("30")]
    [InlineData("-1s")]
    [InlineData("s")]
    [InlineData("1e9h")]
    [InlineData("99999999999999h")]
    public void What_is_no_duration_is_refused_with_its_text(string text)
    {
        Assert.False(Quantities.TryParseDuration(text, out _, out string? fault));
        Assert.Contains($"'{text}'", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_shown_reads_back_as_the_same()
    {
        foreach (long bytes in new long[] { 0, 1, 1023, 1024, 1000, 1 << 20, (1 << 20) + 1, 3L << 40 })
        {
            Assert.True(Quantities.TryParseSize(Quantities.ShowSize(bytes), out long back, out _));
            Assert.Equal(bytes, back);
        }
        foreach (int ms in new[] { 0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000 })
        {
            Assert.True(Quantities.TryParseDuration(Quantities.ShowDuration(TimeSpan.FromMilliseconds(ms)), out var back, out _));
            Assert.Equal(ms, back.TotalMilliseconds);
        }
    }

    [Theory]
    [InlineData("127.0.0.1:7070")]
    [InlineData("localhost:1")]
    [InlineData("[::1]:65535")]
    [InlineData("unix:/run/semel.sock")]
    public void An_address_is_a_host_and_a_port_or_a_socket(string text) => Assert.True(Addresses.TryValidate(text, anyPort: false, out _));

    [Theory]
    [InlineData("")]
    [InlineData("localhost")]
    [InlineData(":7070")]
    [InlineData("localhost:")]
    [InlineData("localhost:0")]
    [InlineData("localhost:65536")]
    [InlineData("localhost:-1")]
    [InlineData("localhost:99999999999")]
    [InlineData("::1:7070")]
    [InlineData("http://localhost:7070")]
    [InlineData("unix:relative")]
    public void What_is_no_address_is_refused_with_its_text(string text)
    {
        Assert.False(Addresses.TryValidate(text, anyPort: false, out string? fault));
        Assert.Contains($"'{text}'", fault, StringComparison.Ordinal);
    }
}
