using Semel.Simulation.Disk;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.DataDirectories;

public sealed class MasterFileTests : OnSimulatedDisk
{
    private static readonly KnownMaster First = new(4, 0x1111_2222_3333_4444, 17);
    private static readonly KnownMaster Later = First with { Position = 18 };
    private static readonly KnownMaster Second = new(5, 0x5555_6666_7777_8888, 19);

    [Fact]
    public void The_master_is_remembered_and_never_an_older_or_another_one_of_its_epoch() => Run(async (_, disk) =>
    {
        using (var directory = await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, Logger))
        {
            Assert.Equal(KnownMaster.None, directory.Master);
            await directory.SetMasterAsync(First);
            await directory.SetMasterAsync(Second);
            foreach (var wrong in (KnownMaster[])[First, Second with { Nonce = 1 }, Second with { Position = 18 }])
                await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => directory.SetMasterAsync(wrong).AsTask());
        }

        using var again = await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, Logger);

        Assert.Equal(Second, again.Master);
    });

    [Fact]
    public void A_directory_of_a_version_that_remembered_no_master_has_none() => Run(async (_, disk) =>
    {
        (await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, Logger)).Dispose();
        Assert.False(disk.FileExists(MasterFile.Name));

        using var directory = await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, Logger);

        Assert.Equal(KnownMaster.None, directory.Master);
    });

    [Fact]
    public void Whichever_bit_of_the_newest_slot_flips_the_one_before_it_counts() => Run(async (raw, disk) =>
    {
        var file = await MasterFile.OpenAsync(disk);
        await file.WriteAsync(First);       // writes 1 and 2
        await file.WriteAsync(Later);       // write 3

        for (int bit = 0; bit < MasterFile.SlotSize * 8; bit++)
        {
            int at = (3 % 2 * MasterFile.SlotStride) + (bit / 8);
            raw.Corrupt(MasterFile.Name, at, (byte)(1 << (bit % 8)));
            Assert.True(MasterFile.TryRead(disk, out _, out var known));
            Assert.Equal(First, known);
            raw.Corrupt(MasterFile.Name, at, (byte)(1 << (bit % 8)));
        }

        Assert.True(MasterFile.TryRead(disk, out _, out var whole));
        Assert.Equal(Later, whole);
    });

    [Fact]
    public void A_new_epoch_is_not_forgotten_whichever_bit_flips() => Run(async (raw, disk) =>
    {
        var file = await MasterFile.OpenAsync(disk);
        await file.WriteAsync(First);
        await file.WriteAsync(Second);

        for (int bit = 0; bit < (MasterFile.SlotStride + MasterFile.SlotSize) * 8; bit++)
        {
            raw.Corrupt(MasterFile.Name, bit / 8, (byte)(1 << (bit % 8)));
            Assert.True(MasterFile.TryRead(disk, out _, out var known));
            Assert.Equal(Second, known);
            raw.Corrupt(MasterFile.Name, bit / 8, (byte)(1 << (bit % 8)));
        }
    });

    [Fact]
    public void A_loss_of_power_in_a_write_leaves_the_old_or_the_new()
    {
        var disk = new SimulatedDisk(World, "disk");
        var seen = new HashSet<KnownMaster>();
        var before = KnownMaster.None;
        for (ulong i = 1; i <= 60; i++)
        {
            var process = World.StartProcess("process");
            var next = new KnownMaster(i, i * 77, i * 1000);
            bool began = false;
            process.Post(async _ =>
            {
                using var directory = await DataDirectory.OpenAsync(disk.OpenFor(process), ServerRole.ChunkServer, Logger);
                before = directory.Master;
                began = true;
                await directory.SetMasterAsync(next);
            }, null);
            Assert.True(World.RunUntil(() => began && MasterFile.TryRead(disk.OpenFor(process), out ulong _, out var written) && written == next, TimeSpan.FromSeconds(1), "the write, but not its flush"), World.Failure);
            process.Kill();
            disk.LosePower();

            bool any = MasterFile.TryRead(disk.OpenFor(process), out _, out var after);

            Assert.Contains(after, (KnownMaster[])[before, next]);
            Assert.Equal(after != KnownMaster.None, any);
            seen.Add(after);
        }
        Assert.True(seen.Count > 10);
    }

    [Fact]
    public void A_full_disk_does_not_keep_the_master_from_being_remembered() => Run(async (raw, disk) =>
    {
        var file = await MasterFile.OpenAsync(disk);
        await file.WriteAsync(First);
        raw.Faults = new DiskFaults { Full = true };

        await file.WriteAsync(Second);

        Assert.Equal(Second, (await MasterFile.OpenAsync(disk)).Known);
    });
}
