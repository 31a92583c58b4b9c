using Semel.ChunkServer;
using Semel.Master;
using Semel.Protocol.Messages;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Cluster;

/// <summary>Where the real parts are put together with the simulated world. Times are shorter than the defaults, so that a run needs fewer events.</summary>
internal static class Nodes
{
    /// <summary>How long members that are silent are waited for before a configuration falls below its floor.</summary>
    public static readonly TimeSpan MemberGrace = TimeSpan.FromSeconds(15);

    /// <summary>How long a primary may answer readers without word from the master.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan Heartbeat = TimeSpan.FromMilliseconds(200);

    public static StartNode ChunkServer(SimulatedCluster cluster) => async (process, disk, wire) =>
    {
        var server = cluster.ChunkServers.First(s => s.Process == process);
        var options = new ChunkServerOptions
        {
            MasterAddress = server.MasterAddress ?? cluster.Master.Address,
            BindAddress = "0.0.0.0:7071",
            HeartbeatInterval = Heartbeat,
            MaxWritersPerFile = cluster.Shape.MaxWritersPerFile,
            WriterTimeToLive = cluster.Shape.WriterTimeToLive,
            GenerationInterval = TimeSpan.FromMilliseconds(100),
            WritersInSealedTables = 250,    // of two chunks, so that tables are read again all the time
        };
        var logging = new SimulatedLogging(process, id =>
        {
            bool mayForget = server.LostPower && cluster.Shape.Durability == Durability.Memory;
            if ((IsOfABadDisk(id) || (id == ReplicaDamaged && !mayForget)) && !server.WasHarmed && server.Disk.FailedFlushes == 0)
                process.World.Fail($"{process.Name} cannot read what it wrote, and nothing happened to its disk (event {id})");
        });
        var node = await ChunkServerNode.StartAsync(options, disk, wire, process.Time, process.Random, logging, CancellationToken.None);
        return new RunningNode(node, node.Completion);
    };

    /// <summary>ReplicaUnreadable, ReplicaFailed, ReplicaRotten: kills, losses of power and full disks alone must never lead there.</summary>
    private static bool IsOfABadDisk(int id) => id is 2005 or 2108 or 2111;

    /// <summary>
    /// Bytes that were durable once are gone, says a start: a lie where nobody took them, and with it a replica is given up that is needed.
    /// </summary>
    private const int ReplicaDamaged = 2007;

    /// <param name="cluster">What it is the master of.</param>
    /// <param name="address">Where it listens.</param>
    public static StartNode Master(SimulatedCluster cluster, string address) => async (process, disk, wire) =>
    {
        var shape = cluster.Shape;
        var options = new MasterOptions
        {
            BindAddress = address,
            TinyChunkCapacity = shape.ChunkCapacity,
            Replicas = shape.Replicas,
            MinMembers = shape.MinMembers,
            HeartbeatInterval = Heartbeat,
            DeadAfter = TimeSpan.FromMilliseconds(800),
            LeaseDuration = Lease,
            RepairGrace = TimeSpan.FromSeconds(1),
            MemberGrace = shape.MemberGrace,
            ShortSealPause = TimeSpan.FromSeconds(4),
            AcceptLostEntries = cluster.AcceptLostEntries,
        };
        var node = await MasterNode.StartAsync(options, disk, wire, process.Time, process.Random, new SimulatedLogging(process), CancellationToken.None);
        return new RunningNode(node, node.Completion);
    };
}
