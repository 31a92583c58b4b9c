using System.Buffers.Binary;
using Semel.Protocol.Checksums;
using Semel.Storage.Disks;

namespace Semel.Storage.DataDirectories;

/// <summary>The master that a chunk server serves: the one that it accepted last, and how far that one had told it to be.</summary>
/// <param name="Epoch">Of the master; 0: none was ever accepted.</param>
/// <param name="Nonce">Drawn by the master when it began the epoch. Two masters on copies of one directory begin the same epoch, with different ones. 0: an older master, which has none.</param>
/// <param name="Position">So many entries of its operation log were durable.</param>
public sealed record KnownMaster(ulong Epoch, ulong Nonce, ulong Position)
{
    public static readonly KnownMaster None = new(0, 0, 0);

    public bool IsSame(ulong epoch, ulong nonce) => Epoch == epoch && Nonce == nonce;
}

/// <summary>
/// The <see cref="KnownMaster"/> of a chunk server, in the file <c>master</c>. It has two slots of 40 bytes, at 0 and at <see cref="SlotStride"/>; a write goes to the slot that does not hold the
/// newest valid one, so that a torn write loses nothing. The file never grows: writing needs no space.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..39
///   4    4  magic 'S' 'M' 'A' '1'
///   8    8  number of the write: the valid slot with the higher one counts; it is in slot (number mod 2)
///  16    8  epoch
///  24    8  nonce
///  32    8  position
/// </code>
/// A new epoch goes to both slots, one after the other: then rot in either of them makes the server forget a position at most.
/// </summary>
internal sealed class MasterFile
{
    public const string Name = "master";
    public const int SlotSize = 40;
    public const int SlotStride = 512;
    private const uint Magic = 0x31414D53;

    private readonly IDisk _disk;
    private ulong _number;

    private MasterFile(IDisk disk, ulong number, KnownMaster known) => (_disk, _number, Known) = (disk, number, known);

    /// <summary>Durable.</summary>
    public KnownMaster Known { get; private set; }

    /// <summary>Reads the file; what it says is durable on return: after a crash of the process the newest slot may be in the page cache only.</summary>
    /// <exception cref="IOException">The disk failed.</exception>
    public static async ValueTask<MasterFile> OpenAsync(IDisk disk)
    {
        if (!TryRead(disk, out ulong number, out var known))
            return new MasterFile(disk, 0, KnownMaster.None);
        var file = new MasterFile(disk, number, known);
        try
        {
            await file.WriteSlotAsync(known);
        }
        catch (DiskFullException)
        {
            // Where even an overwrite needs space. Should the slot get lost, the server hears of the epoch once more, no more.
        }
        return file;
    }

    /// <summary>The newest valid slot; false: there is none.</summary>
    public static bool TryRead(IDisk disk, out ulong number, out KnownMaster known)
    {
        (number, known) = (0, KnownMaster.None);
        if (!disk.FileExists(Name))
            return false;
        using var file = disk.Open(Name, create: false);
        Span<byte> slot = stackalloc byte[SlotSize];
        for (int i = 0; i < 2; i++)
        {
            if (file.Read(i * SlotStride, slot) == SlotSize && TryReadSlot(slot, out ulong n, out var k) && n > number)
                (number, known) = (n, k);
        }
        return number > 0;
    }

    /// <summary>Durable on return. One call at a time.</summary>
    /// <exception cref="IOException">The disk failed; what the file says is the old or the new.</exception>
    public async ValueTask WriteAsync(KnownMaster known)
    {
        bool isNewMaster = !Known.IsSame(known.Epoch, known.Nonce);
        await WriteSlotAsync(known);
        Known = known;
        if (isNewMaster)
            await WriteSlotAsync(known);
    }

    private static bool TryReadSlot(ReadOnlySpan<byte> slot, out ulong number, out KnownMaster known)
    {
        (number, known) = (0, KnownMaster.None);
        if (BinaryPrimitives.ReadUInt32LittleEndian(slot[4..]) != Magic || BinaryPrimitives.ReadUInt32LittleEndian(slot) != Crc32C.Compute(slot[4..SlotSize]))
            return false;
        number = BinaryPrimitives.ReadUInt64LittleEndian(slot[8..]);
        known = new KnownMaster(
            BinaryPrimitives.ReadUInt64LittleEndian(slot[16..]), BinaryPrimitives.ReadUInt64LittleEndian(slot[24..]), BinaryPrimitives.ReadUInt64LittleEndian(slot[32..]));
        return true;
    }

    private async ValueTask WriteSlotAsync(KnownMaster known)
    {
        ulong number = _number + 1;
        bool isNew = !_disk.FileExists(Name);
        using var file = _disk.Open(Name, create: isNew);
        if (file.Length < SlotStride + SlotSize)
            file.Write(0, new byte[SlotStride + SlotSize]);     // both slots, so that no later write needs space
        var slot = new byte[SlotSize];
        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(4), Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(slot.AsSpan(8), number);
        BinaryPrimitives.WriteUInt64LittleEndian(slot.AsSpan(16), known.Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(slot.AsSpan(24), known.Nonce);
        BinaryPrimitives.WriteUInt64LittleEndian(slot.AsSpan(32), known.Position);
        BinaryPrimitives.WriteUInt32LittleEndian(slot, Crc32C.Compute(slot.AsSpan(4)));
        file.Write((long)(number % 2) * SlotStride, slot);
        await file.FlushAsync();
        if (isNew)
            await _disk.FlushDirectoryAsync("");
        _number = number;
    }
}
