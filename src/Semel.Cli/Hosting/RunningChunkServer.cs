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
    private static readonly TimeSpan GreetingTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly SocketWire _wire;
    private readonly ChunkServerSettings _settings;
    private readonly TimeProvider _time;

    private RunningChunkServer(ChunkServerNode node, SocketWire wire, ChunkServerSettings settings, TimeProvider time)
    {
        Node = node;
        _wire = wire;
        _settings = settings;
        _time = time;
    }

    public ChunkServerNode Node { get; }

    public static async Task<RunningChunkServer> StartAsync(
        ChunkServerSettings settings, OpenFileShare share, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        ChunkServerNode? node = null;
        var disk = new RealDisk(settings.Data, share.DiskFiles);
        var sockets = new SocketWireOptions { Role = "chunkserver", ClusterId = () => node?.ClusterId, MaxAcceptedConnections = share.Connections };
        var wire = new SocketWire(sockets, time, new Random(), loggers);
        try
        {
            node = await ChunkServerNode.StartAsync(settings.Server, disk, wire, time, new Random(), loggers, cancellation);
            return new RunningChunkServer(node, wire, settings, time);
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

    /// <summary>
    /// Asks the master until it answers once, and throws if it is the master of another cluster: a chunk server must not wait for ever before a door that will not open.
    /// A master that is not there is no reason to stop.
    /// </summary>
    /// <exception cref="CommandException">The master refuses this server.</exception>
    public async Task RefuseForeignMasterAsync(CancellationToken cancellation)
    {
        while (Node.ClusterId is { } own)
        {
            var result = await _wire.LinkTo(_settings.Server.MasterAddress).CallAsync(MessageKind.ClusterStatus, new ClusterStatusRequest(), default, GreetingTime, cancellation);
            result.Payload.Release();
            cancellation.ThrowIfCancellationRequested();
            if (result.IsAnswered)
                return;
            if (result.Outcome is CallOutcome.Refused)
                throw new CommandException(ExitCode.Conflict,
                    $"The master at {_settings.Server.MasterAddress} refuses this chunk server, whose data in {_settings.Data} belongs to the cluster {own}: {result.Detail} Name the right master or another data directory.");
            await Task.Delay(Pause, _time, cancellation);
        }
    }
}
