using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Appending;
using Semel.Protocol.Identity;
using Semel.Protocol.Wires;

namespace Semel.ChunkServer.Replicas;

/// <summary>What every replica of a server uses and none owns.</summary>
/// <param name="Self">This server's id; 0 until it has registered.</param>
/// <param name="Generation">Of this server's data directory.</param>
/// <param name="Peers">Which other servers answer.</param>
/// <param name="ReportChanged">Tells the heartbeat that the replica's report is worth sending.</param>
/// <param name="SealedTables">Which sealed replicas keep their writer tables.</param>
internal sealed record ReplicaServices(
    ChunkServerOptions Options,
    IWire Wire,
    ILink Master,
    TimeProvider Time,
    Random Random,
    ILogger Logger,
    Func<ServerId> Self,
    Func<ulong> Generation,
    PeerPulse Peers,
    Action<Replica> ReportChanged,
    SealedTables SealedTables)
{
    /// <summary>Bounds the writes of replicas that came to rest.</summary>
    public RestWrites RestWrites { get; } = new();
}
