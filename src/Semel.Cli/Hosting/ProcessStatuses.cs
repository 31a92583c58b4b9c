using Microsoft.Extensions.Logging;
using Semel.ChunkServer;
using Semel.Cli.Terminal;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport;

namespace Semel.Cli.Hosting;

/// <summary>What a master's process tells: what the master answers over the wire, as to any client.</summary>
internal sealed class ClusterProcessStatus(string master, TimeProvider time, ILoggerFactory loggers) : IProcessStatus, IAsyncDisposable
{
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan RegistrationTime = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(10);

    private readonly SocketWire _wire = new(new SocketWireOptions { Role = "client", ClusterId = () => null }, time, new Random(), loggers);

    public ValueTask DisposeAsync() => _wire.DisposeAsync();

    public async ValueTask<string?> FaultOfReadinessAsync(CancellationToken cancellation)
    {
        var (reply, fault) = await AskAsync(cancellation);
        return reply is null ? fault : reply.Withholds.Length > 0 ? reply.Withholds
            : reply.Recovering ? "The master waits for the chunk servers' reports." : null;
    }

    public async ValueTask<byte[]> StatusAsync(CancellationToken cancellation)
    {
        var (reply, fault) = await AskAsync(cancellation);
        return reply is null ? JsonLine.Utf8Of(new { Error = fault }) : JsonLine.Utf8Of(ClusterReport.Of(reply));
    }

    /// <summary>Returns when so many chunk servers have registered and the master is not recovering.</summary>
    /// <exception cref="CommandException">They took too long.</exception>
    public async Task WaitForServersAsync(int count, CancellationToken cancellation)
    {
        long begin = time.GetTimestamp();
        while (true)
        {
            var (reply, fault) = await AskAsync(cancellation);
            if (reply is { Recovering: false } && reply.Servers.Count(s => s.Alive) >= count)
                return;
            if (time.GetElapsedTime(begin) > RegistrationTime)
                throw new CommandException(ExitCode.Temporary,
                    $"After {RegistrationTime.TotalSeconds} s {reply?.Servers.Count(s => s.Alive) ?? 0} of {count} chunk servers are there. {fault}");
            await Task.Delay(Poll, time, cancellation);
        }
    }

    private async ValueTask<(ClusterStatusReply? Reply, string? Fault)> AskAsync(CancellationToken cancellation)
    {
        var result = await _wire.LinkTo(master).CallAsync(MessageKind.ClusterStatus, new ClusterStatusRequest(), default, CallTime, cancellation);
        cancellation.ThrowIfCancellationRequested();
        result.Payload.Release();
        return result.IsAnswered ? (result.Answer<ClusterStatusReply>(), null) : (null, $"The master does not answer: {result.Detail}");
    }
}

/// <summary>What a chunk server's process tells.</summary>
internal sealed class ChunkServerProcessStatus(ChunkServerNode node, string master) : IProcessStatus
{
    private sealed record Shape(string Role, string? Id, string? ClusterId, string Address, string Master);

    public ValueTask<string?> FaultOfReadinessAsync(CancellationToken cancellation) =>
        ValueTask.FromResult(node.Id is null ? $"Not registered with the master at {master} yet." : null);

    public ValueTask<byte[]> StatusAsync(CancellationToken cancellation) =>
        ValueTask.FromResult(JsonLine.Utf8Of(new Shape("chunkserver", node.Id?.ToString(), node.ClusterId, node.Address, master)));
}
