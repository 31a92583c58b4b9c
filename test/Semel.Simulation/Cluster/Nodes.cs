using Semel.ChunkServer;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Cluster;

/// <summary>Where the real parts are put together with the simulated world.</summary>
internal static class Nodes
{
    public static StartNode ChunkServer(SimulatedCluster cluster) => async (process, disk, wire) =>
    {
        var options = new ChunkServerOptions
        {
            MasterAddress = cluster.Master.Address,
            BindAddress = "0.0.0.0:7071",
            HeartbeatInterval = TimeSpan.FromMilliseconds(200),
        };
        return await ChunkServerNode.StartAsync(options, disk, wire, process.Time, process.Random, new SimulatedLogging(process), CancellationToken.None);
    };
}
