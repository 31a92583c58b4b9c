using Semel.Simulation.Disk;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.DataDirectories;

public sealed class GenerationTests : OnSimulatedDisk
{
    [Fact]
    public void The_generation_only_grows_and_survives_a_restart() => Run(async (_, disk) =>
    {
        using (var directory = await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, Logger))
        {
            Assert.Equal(0ul, directory.Generation);
            await directory.SetGenerationAsync(7);
            await directory.SetGenerationAsync(8);
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => directory.SetGenerationAsync(8).AsTask());
        }

        using var again = await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, Logger);

        Assert.Equal(8ul, again.Generation);
    });

    [Fact]
    public void Whichever_bit_of_the_newest_number_flips_the_one_before_it_counts() => Run(async (raw, disk) =>
    {
        await GenerationFile.WriteAsync(disk, 40);
        await GenerationFile.WriteAsync(disk, 41);

        for (int bit = 0; bit < GenerationFile.SlotSize * 8; bit++)
        {
            int at = (41 % 2 * GenerationFile.SlotStride) + (bit / 8);
            raw.Corrupt(GenerationFile.Name, at, (byte)(1 << (bit % 8)));
            Assert.Equal(40ul, GenerationFile.Read(disk));
            raw.Corrupt(GenerationFile.Name, at, (byte)(1 << (bit % 8)));
        }

        Assert.Equal(41ul, GenerationFile.Read(disk));
    });

    [Fact]
    public void What_a_killed_process_left_in_the_page_cache_is_durable_before_anybody_hears_of_it()
    {
        var disk = new SimulatedDisk(World, "disk");
        for (int i = 0; i < 20; i++)
        {
            var first = World.StartProcess("first");
            ulong before = GenerationFile.Read(disk.OpenFor(first));
            first.Post(async _ =>
            {
                using var directory = await DataDirectory.OpenAsync(disk.OpenFor(first), ServerRole.ChunkServer, Logger);
                await directory.SetGenerationAsync(before + 1);
            }, null);
            Assert.True(World.RunUntil(() => GenerationFile.Read(disk.OpenFor(first)) > before, TimeSpan.FromSeconds(1), "the write, but not its flush"), World.Failure);
            first.Kill();
            var second = World.StartProcess("second");
            ulong? heard = null;
            second.Post(async _ =>
            {
                using var directory = await DataDirectory.OpenAsync(disk.OpenFor(second), ServerRole.ChunkServer, Logger);
                heard = directory.Generation;
            }, null);
            Assert.True(World.RunUntil(() => heard is not null, TimeSpan.FromSeconds(1), "the second process"), World.Failure);
            second.Kill();
            disk.LosePower();

            Assert.True(GenerationFile.Read(disk.OpenFor(second)) >= heard);
        }
    }

    [Fact]
    public void A_full_disk_does_not_keep_the_generation_from_growing() => Run(async (raw, disk) =>
    {
        await GenerationFile.WriteAsync(disk, 1);
        raw.Faults = new DiskFaults { Full = true };

        await GenerationFile.WriteAsync(disk, 2);

        Assert.Equal(2ul, GenerationFile.Read(disk));
    });
}
