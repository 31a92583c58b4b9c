using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.DataDirectories;

/// <summary>Tests of small files that servers keep in their directories.</summary>
public abstract class OnSimulatedDisk
{
    private protected SimulatedWorld World { get; } = new(1);
    private protected ListLogger Logger { get; } = new();

    /// <summary>Runs in a process of the simulation, on its disk.</summary>
    private protected void Run(Func<SimulatedDisk, IDisk, Task> story)
    {
        var disk = new SimulatedDisk(World, "disk");
        var process = World.StartProcess("test");
        Task? played = null;
        process.Post(_ => played = story(disk, disk.OpenFor(process)), null);
        Assert.True(World.RunUntil(() => played is { IsCompleted: true }, TimeSpan.FromMinutes(1), "the story to end"), World.Failure);
        played!.GetAwaiter().GetResult();
    }
}
