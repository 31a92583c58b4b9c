using Microsoft.Extensions.Logging;
using Semel.ChunkServer;
using Semel.Cli.Configuration;
using Semel.Storage.Disks;
using Semel.Transport;

namespace Semel.Cli.Hosting;

/// <summary>A chunk server on the real disk and real sockets.</summary>
internal sealed class RunningChunkServer : IAsyncDisposable
{
    private readonly SocketWire _wire;

    private RunningChunkServer(ChunkServerNode node, SocketWire wire)
    {
        Node = node;
        _wire = wire;
    }

    public ChunkServerNode Node { get; }

    public static async Task<RunningChunkServer> StartAsync(
        ChunkServerSettings settings, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        ChunkServerNode? node = null;
        var disk = new RealDisk(settings.Data);
        var wire = new SocketWire(new SocketWireOptions { Role = "chunkserver", ClusterId = () => node?.ClusterId }, time, new Random(), loggers);
        try
        {
            node = await ChunkServerNode.StartAsync(settings.Server, disk, wire, time, new Random(), loggers, cancellation);
            return new RunningChunkServer(node, wire);
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
