using Microsoft.Extensions.Logging;
using Semel.Cli.Configuration;
using Semel.Master;
using Semel.Storage.Disks;
using Semel.Transport;

namespace Semel.Cli.Hosting;

/// <summary>A master on the real disk and real sockets.</summary>
internal sealed class RunningMaster : IAsyncDisposable
{
    private readonly SocketWire _wire;

    private RunningMaster(MasterNode node, SocketWire wire)
    {
        Node = node;
        _wire = wire;
    }

    public MasterNode Node { get; }

    public static async Task<RunningMaster> StartAsync(MasterSettings settings, OpenFileShare share, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        MasterNode? node = null;
        var disk = new RealDisk(settings.Data, share.DiskFiles);
        var sockets = new SocketWireOptions { Role = "master", ClusterId = () => node?.ClusterId, MaxAcceptedConnections = share.Connections };
        var wire = new SocketWire(sockets, time, new Random(), loggers);
        try
        {
            node = await MasterNode.StartAsync(settings.Master, disk, wire, time, new Random(), loggers, cancellation);
            return new RunningMaster(node, wire);
        }
        catch
        {
            await wire.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        await _wire.DisposeAsync();
    }
}
