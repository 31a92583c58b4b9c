using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.DataDirectories;

/// <summary>The bytes of the two files of this kind, as docs/internals/data-directory.md says: other versions of Semel read them.</summary>
public sealed class NumberedSlotsTests : OnSimulatedDisk
{
    [Fact]
    public void A_master_is_written_as_the_page_says() => Run(async (_, disk) =>
    {
        var file = await MasterFile.OpenAsync(disk);

        await file.WriteAsync(new KnownMaster(3, 99, 7));

        // A new epoch is written to both slots: number 1 to the second one, number 2 to the first.
        Assert.Equal("48e3c5af534d41310200000000000000030000000000000063000000000000000700000000000000", Slot(disk, "master", 0, 40));
        Assert.Equal("15922ee9534d41310100000000000000030000000000000063000000000000000700000000000000", Slot(disk, "master", 512, 40));
    });

    [Fact]
    public void A_generation_is_written_as_the_page_says() => Run(async (_, disk) =>
    {
        await GenerationFile.WriteAsync(disk, 5);

        Assert.Equal("8088844a534745310500000000000000", Slot(disk, "generation", 512, 16));
        Assert.Equal(new string('0', 32), Slot(disk, "generation", 0, 16));
    });

    private static string Slot(IDisk disk, string name, int at, int size)
    {
        using var file = disk.Open(name, create: false);
        var bytes = new byte[size];
        Assert.Equal(size, file.Read(at, bytes));
        return Convert.ToHexStringLower(bytes);
    }
}
