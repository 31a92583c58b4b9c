using System.Buffers.Binary;
using Semel.Storage.Disks;

namespace Semel.Storage.DataDirectories;

/// <summary>The master that a chunk server serves: the one that it accepted last, and how far that one had told it to be.</summary>
/// <param name="Epoch">Of the master; 0: none was ever accepted.</param>
/// <param name="Nonce">
/// Drawn by the master when it began the epoch. Two masters on copies of one directory begin the same epoch, with different ones. 0: an
/// older master, which has none.
/// </param>
/// <param name="Position">So many entries of its operation log were durable.</param>
public sealed record KnownMaster(ulong Epoch, ulong Nonce, ulong Position)
{
    public static readonly KnownMaster None = new(0, 0, 0);

    public bool IsSame(ulong epoch, ulong nonce) => Epoch == epoch && Nonce == nonce;
}

/// <summary>
/// The <see cref="KnownMaster"/> of a chunk server, in the file <c>master</c>. It has two slots of 40 bytes (<see cref="NumberedSlots"/>).
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
    public const int SlotSize = NumberedSlots.HeaderSize + ContentSize;
    public const int SlotStride = NumberedSlots.Stride;
    private const int ContentSize = 24;
    private static readonly NumberedSlots Slots = new(Name, magic: 0x31414D53, ContentSize);

    private readonly IDisk _disk;
    private ulong _number;

    private MasterFile(IDisk disk, ulong number, KnownMaster known) => (_disk, _number, Known) = (disk, number, known);

    /// <summary>Durable.</summary>
    public KnownMaster Known { get; private set; }

    /// <summary>
    /// Reads the file; what it says is durable on return: after a crash of the process the newest slot may be in the page cache only.
    /// </summary>
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
        Span<byte> content = stackalloc byte[ContentSize];
        number = Slots.Read(disk, content);
        known = number == 0 ? KnownMaster.None : new KnownMaster(
            BinaryPrimitives.ReadUInt64LittleEndian(content),
            BinaryPrimitives.ReadUInt64LittleEndian(content[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(content[16..]));
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

    private async ValueTask WriteSlotAsync(KnownMaster known)
    {
        var content = new byte[ContentSize];
        BinaryPrimitives.WriteUInt64LittleEndian(content, known.Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(8), known.Nonce);
        BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(16), known.Position);
        await Slots.WriteAsync(_disk, _number + 1, content);
        _number++;
    }
}
