using Microsoft.Extensions.Logging.Abstractions;
using Semel.Protocol.Identity;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Storage.DataDirectories;
using Xunit;

namespace Semel.Tests.Storage.DataDirectories;

public sealed class DataDirectoryUnderFaultsTests
{
    [Fact]
    public void A_crash_at_any_moment_leaves_an_identity_that_opens_and_never_forgets()
    {
        for (ulong seed = 1; seed <= 200; seed++)
            Run(seed);
    }

    private static void Run(ulong seed)
    {
        var world = new SimulatedWorld(seed);
        var disk = new SimulatedDisk(world, "d") { Faults = new DiskFaults { FlushError = seed % 2 == 0 ? 0.1 : 0 } };
        var random = new Random((int)seed);
        string? cluster = null;
        ServerId? server = null;
        for (int life = 0; life < 10; life++)
        {
            var process = world.StartProcess($"p{life}");
            bool ended = false;
            process.Start(async () =>
            {
                try
                {
                    var directory = await DataDirectory.OpenAsync(disk.OpenFor(process), ServerRole.ChunkServer, NullLogger.Instance);
                    Assert.True(cluster is null || directory.ClusterId == cluster, $"seed {seed}: forgot the cluster");
                    Assert.True(server is null || directory.ServerId == server, $"seed {seed}: forgot the server");
                    // What a life has seen binds the next ones.
                    (cluster, server) = (directory.ClusterId, directory.ServerId);
                    await directory.SetIdentityAsync("c", null);
                    cluster = "c";
                    await directory.SetIdentityAsync("c", new ServerId(5));
                    server = new ServerId(5);
                }
                catch (IOException e) when (e is not DataDirectoryException)
                {
                    // A flush failed.
                }
                ended = true;
            });
            world.After(TimeSpan.FromMicroseconds(random.Next(1, 5000)), () => ended = true);
            Assert.True(world.RunUntil(() => ended, TimeSpan.FromMinutes(1), "the end of a life"), $"seed {seed}: {world.Failure}");
            process.Kill();
            if (random.Next(2) == 0)
                disk.LosePower();
        }
    }
}
