using Microsoft.Extensions.Logging;
using Semel.ChunkServer;
using Semel.Cli.Configuration;
using Semel.Cli.Terminal;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Storage.Disks;
using Semel.Transport;

namespace Semel.Cli.Hosting;

/// <summary>A chunk server on the real disk and real sockets.</summary>
internal sealed class RunningChunkServer : IAsyncDisposable
{
    private static readonly TimeSpan GreetingTime = TimeSpan.FromSeconds(1);

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
            await RefuseForeignMasterAsync(node, wire, settings, cancellation);
            return new RunningChunkServer(node, wire);
        }
        catch
        {
            if (node is not null)
                await node.DisposeAsync();
            await wire.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        await _wire.DisposeAsync();
    }

    /// <summary>
    /// A chunk server that belongs to a cluster must not wait for ever before a master of another one. A master that is not there is no reason to stop.
    /// </summary>
    private static async Task RefuseForeignMasterAsync(ChunkServerNode node, SocketWire wire, ChunkServerSettings settings, CancellationToken cancellation)
    {
        if (node.ClusterId is null)
            return;
        var result = await wire.LinkTo(settings.Server.MasterAddress).CallAsync(MessageKind.ClusterStatus, new ClusterStatusRequest(), default, GreetingTime, cancellation);
        result.Payload.Release();
        if (result.Outcome is CallOutcome.Refused)
            throw new CommandException(ExitCode.Conflict,
                $"The master at {settings.Server.MasterAddress} refuses this chunk server, whose data in {settings.Data} belongs to the cluster {node.ClusterId}: {result.Detail} Name the right master or another data directory.");
    }
}
