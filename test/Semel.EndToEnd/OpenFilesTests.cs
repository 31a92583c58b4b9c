using System.Net;
using System.Net.Sockets;
using System.Text;
using Semel.Cli.Clusters;
using Semel.Cli.Hosting;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>Servers that may have few files open, and are asked for more chunks and connections than that.</summary>
public sealed class OpenFilesTests : IDisposable
{
    private const int Limit = 256;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(FileDurability.Group)]
    [InlineData(FileDurability.Memory)]
    public async Task A_server_serves_more_chunks_than_it_may_have_files_open(FileDurability durability)
    {
        const int files = 80, rounds = 3;
        var stop = TestContext.Current.CancellationToken;
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, Limit);
        await using var client = SemelClient.Connect(cluster.Master, new SemelClientOptions { OperationTimeout = TimeSpan.FromSeconds(60) });
        await client.MakeDirectoryAsync("/d", cancellationToken: stop);
        var writers = new RecordWriter[files];
        for (int i = 0; i < files; i++)
        {
            await client.CreateAsync($"/d/{i}", new CreateOptions { Durability = durability }, stop);
            writers[i] = await client.OpenWriterAsync($"/d/{i}", new WriterOptions { Name = "w" }, stop);
        }

        for (int round = 0; round < rounds; round++)
            await Task.WhenAll(writers.Select(w => w.AppendAsync(Encoding.UTF8.GetBytes($"{round}"), stop).AsTask()));
        // All replicas are opened again, and the chunks go on.
        await cluster.KillAsync(2);
        await cluster.StartAgainAsync(2);
        await Task.WhenAll(writers.Select(w => w.AppendAsync(Encoding.UTF8.GetBytes($"{rounds}"), stop).AsTask()));
        var verified = await Shell.RunAsync("verify", "--all", "--wait", "2m", "--json", "--master", cluster.Master);

        Assert.Equal((ExitCode.Done, ""), (verified.ExitCode, verified.Error));
        Assert.Equal(files, verified.Lines.Count(l => l.Contains($"\"records\":{rounds + 1},", StringComparison.Ordinal)));
        // Of 160 that replicas have: the bound, and room for what threads were just opening and for the lock of the directory.
        int most = OpenFileShare.Of(Limit, servers: 1).DiskFiles + 32;
        for (int server = 1; server <= 3; server++)
            Assert.InRange(OpenIn(Path.Combine(_directory.Path, $"chunkserver{server}"), cluster.IdOf(server)), 1, most);
    }

    [Fact]
    public async Task A_server_refuses_connections_that_it_has_no_files_for_and_goes_on()
    {
        var stop = TestContext.Current.CancellationToken;
        await using var cluster = await YamlCluster.StartAsync(_directory.Path, chunkServers: 3, Limit);
        // Only the last lines of a server are kept.
        await Processes.UntilAsync(() => cluster.LastErrorsOf(1).Contains($"This process may have {Limit} files open", StringComparison.Ordinal));
        var before = await Shell.RunAsync("a\n", ["append", "/log", "--create", "--master", cluster.Master]);
        Assert.Equal((ExitCode.Done, ""), (before.ExitCode, before.Error));
        var flood = new List<Socket>();
        try
        {
            for (int i = 0; i < 2 * Limit; i++)
            {
                foreach (int server in (int[])[0, 1])
                {
                    var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                    flood.Add(socket);
                    await socket.ConnectAsync(IPEndPoint.Parse(cluster.AddressOf(server)), stop);
                }
            }
            // Who is refused gets the end of the stream; the server has accepted all before it by then.
            foreach (var socket in flood.TakeLast(2))
                Assert.Equal(0, await socket.ReceiveAsync(new byte[1], stop));
            await Processes.UntilAsync(() => cluster.LastErrorsOf(1).Contains("connections are open already", StringComparison.Ordinal));
        }
        finally
        {
            flood.ForEach(s => s.Dispose());
        }
        var after = await Shell.RunAsync("b\n", ["append", "/log", "--master", cluster.Master]);

        Assert.Equal((ExitCode.Done, ""), (after.ExitCode, after.Error));
        Assert.All(Enumerable.Range(0, 4), s => Assert.False(cluster.HasExited(s)));
    }

    private static int OpenIn(string directory, int process) => new DirectoryInfo($"/proc/{process}/fd").EnumerateFileSystemInfos()
        .Count(f => f.LinkTarget?.StartsWith(directory + "/", StringComparison.Ordinal) == true);

    [Fact]
    public async Task A_limit_under_which_no_server_can_work_is_refused_at_once()
    {
        var refusal = await Assert.ThrowsAsync<CommandException>(() => YamlCluster.StartAsync(_directory.Path, chunkServers: 1, 150));

        Assert.Contains("This process may have 150 files open; with a server in it, it needs 192 at least.", refusal.Message, StringComparison.Ordinal);
    }
}
