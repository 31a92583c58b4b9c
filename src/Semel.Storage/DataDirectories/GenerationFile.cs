using Semel.Storage.Disks;

namespace Semel.Storage.DataDirectories;

/// <summary>
/// A number that only grows, in the file <c>generation</c>. Whoever remembers the last one that the directory had can tell that it was replaced by an older copy of itself.
/// The file has two slots of 16 bytes (<see cref="NumberedSlots"/>).
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
    public const int SlotSize = NumberedSlots.HeaderSize;
    public const int SlotStride = NumberedSlots.Stride;
    private static readonly NumberedSlots Slots = new(Name, magic: 0x31454753, contentSize: 0);

    /// <summary>The highest valid number; 0: there is none.</summary>
    public static ulong Read(IDisk disk) => Slots.Read(disk, []);

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
    public static ValueTask WriteAsync(IDisk disk, ulong generation) => Slots.WriteAsync(disk, generation, default);
}
