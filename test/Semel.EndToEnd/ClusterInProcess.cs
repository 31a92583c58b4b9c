using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Clusters;
using Semel.Cli.Configuration;
using Semel.Cli.Hosting;

namespace Semel.EndToEnd;

/// <summary>A master and three chunk servers in this process, on real disks and sockets, so that a test sees what all of them do.</summary>
internal sealed class ClusterInProcess : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly List<RunningChunkServer> _chunkServers = [];
    private RunningMaster? _master;

    public string Master => _master!.Node.Address;

    public static async Task<ClusterInProcess> StartAsync(CancellationToken cancellation)
    {
        var cluster = new ClusterInProcess();
        try
        {
            await cluster.StartAllAsync(cancellation);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _chunkServers)
            await server.DisposeAsync();
        if (_master is not null)
            await _master.DisposeAsync();
        _directory.Dispose();
    }

    private async Task StartAllAsync(CancellationToken cancellation)
    {
        var loggers = NullLoggerFactory.Instance;
        var share = OpenFileShare.Of(OpenFileShare.LimitOfThisProcess(), servers: 4);
        var master = new MasterSettings { Data = Path.Combine(_directory.Path, "master") };
        master.Master.BindAddress = "127.0.0.1:0";
        _master = await RunningMaster.StartAsync(master, share, TimeProvider.System, loggers, cancellation);
        for (int i = 0; i < 3; i++)
        {
            var server = new ChunkServerSettings { Data = Path.Combine(_directory.Path, $"chunkserver{i}") };
            server.Server.BindAddress = "127.0.0.1:0";
            server.Server.MasterAddress = Master;
            _chunkServers.Add(await RunningChunkServer.StartAsync(server, share, TimeProvider.System, loggers, cancellation));
        }
    }
}
