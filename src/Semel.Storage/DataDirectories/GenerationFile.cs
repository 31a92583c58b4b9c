using System.Buffers.Binary;
using Semel.Protocol.Checksums;
using Semel.Storage.Disks;

namespace Semel.Storage.DataDirectories;

/// <summary>
/// A number that only grows, in the file <c>generation</c>. Whoever remembers the last one that the directory had can tell that it was replaced by an older copy of itself.
/// The file has two slots of 16 bytes, at 0 and at <see cref="SlotStride"/>; each number goes to the slot that does not hold the one before it, so that a
/// torn write loses nothing. The file never grows: writing needs no space.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..15
///   4    4  magic 'S' 'G' 'E' '1'
///   8    8  the generation; it is in slot (generation mod 2)
/// </code>
/// </summary>
internal static class GenerationFile
{
    public const string Name = "generation";
    public const int SlotSize = 16;
    public const int SlotStride = 512;
    private const uint Magic = 0x31454753;

    /// <summary>The highest valid number; 0: there is none.</summary>
    public static ulong Read(IDisk disk)
    {
        if (!disk.FileExists(Name))
            return 0;
        using var file = disk.Open(Name, create: false);
        ulong newest = 0;
        Span<byte> slot = stackalloc byte[SlotSize];
        for (int i = 0; i < 2; i++)
        {
            if (file.Read(i * SlotStride, slot) == SlotSize
                && BinaryPrimitives.ReadUInt32LittleEndian(slot) == Crc32C.Compute(slot[4..])
                && BinaryPrimitives.ReadUInt32LittleEndian(slot[4..]) == Magic)
                newest = Math.Max(newest, BinaryPrimitives.ReadUInt64LittleEndian(slot[8..]));
        }
        return newest;
    }

    /// <summary>After a crash of the process the newest number may be in the page cache only: it is written once more before anybody hears of it.</summary>
    public static async ValueTask MakeDurableAsync(IDisk disk)
    {
        if (Read(disk) is not (> 0 and var newest))
            return;
        try
        {
            await WriteAsync(disk, newest);
        }
        catch (DiskFullException)
        {
            // Where even an overwrite needs space. Should the number get lost, the server is distrusted without need, no more.
        }
    }

    /// <summary>Durable on return.</summary>
    public static async ValueTask WriteAsync(IDisk disk, ulong generation)
    {
        bool isNew = !disk.FileExists(Name);
        using var file = disk.Open(Name, create: isNew);
        if (file.Length < SlotStride + SlotSize)
            file.Write(0, new byte[SlotStride + SlotSize]);     // both slots, so that no later write needs space
        var slot = new byte[SlotSize];
        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(4), Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(slot.AsSpan(8), generation);
        BinaryPrimitives.WriteUInt32LittleEndian(slot, Crc32C.Compute(slot.AsSpan(4)));
        file.Write((long)(generation % 2) * SlotStride, slot);
        await file.FlushAsync();
        await disk.FlushDirectoryAsync("");
    }
}
