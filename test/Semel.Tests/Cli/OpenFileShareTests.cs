using Semel.Cli.Hosting;
using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

public sealed class OpenFileShareTests
{
    [Theory]
    [InlineData(192, 1, 32, 16, 8)]
    [InlineData(1024, 1, 448, 224, 112)]
    [InlineData(1024, 4, 112, 56, 28)]
    [InlineData(65536, 1, 32704, 4096, 256)]
    [InlineData(int.MaxValue, 10, 65536, 4096, 256)]
    public void Servers_of_a_process_share_its_limit(int limit, int servers, int diskFiles, int connections, int http)
    {
        var share = OpenFileShare.Of(limit, servers);

        Assert.Equal(new OpenFileShare(diskFiles, connections, http), share);
        Assert.Equal(connections < 4096, share.IsTight);
        Assert.InRange((diskFiles + connections + http) * (long)servers, 1, limit - 128);
    }

    [Theory]
    [InlineData(191, 1, "with a server in it, it needs 192 at least")]
    [InlineData(64, 1, "with a server in it, it needs 192 at least")]
    [InlineData(256, 4, "with 4 servers in it, it needs 384 at least")]
    public void Too_low_a_limit_is_refused_with_what_to_do(int limit, int servers, string words)
    {
        var refusal = Assert.Throws<CommandException>(() => OpenFileShare.Of(limit, servers));

        Assert.Contains($"may have {limit} files open", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(words, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("ulimit -n 65536", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Max open files            1024                 524288               files     ", 1024)]
    [InlineData("Max open files            unlimited            unlimited            files     ", int.MaxValue)]
    [InlineData("Max open files            9223372036854775807  9223372036854775807  files     ", int.MaxValue)]
    [InlineData("Max processes             96365                96365                processes ", 4096)]
    public void The_limit_is_read_as_the_system_writes_it(string line, int limit) =>
        Assert.Equal(limit, OpenFileShare.ParseLimit(["Limit                     Soft Limit           Hard Limit           Units     ", line]));

    [Fact]
    public void This_process_has_a_limit() => Assert.InRange(OpenFileShare.LimitOfThisProcess(), 64, int.MaxValue);
}
