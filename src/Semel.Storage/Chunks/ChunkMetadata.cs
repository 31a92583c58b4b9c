using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Semel.Protocol.Checksums;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Storage.Chunks;

/// <summary>What never changes about a chunk.</summary>
/// <param name="Capacity">Bytes of frames that it may hold, the SEAL included.</param>
/// <param name="CreationId">Drawn by the master when the chunk was made. 0: not known, an older version of Semel made it.</param>
public sealed record ChunkDescription(ChunkHandle Handle, FileId File, ulong Index, uint Capacity, Durability Durability, ulong CreationId = 0);

/// <summary>
/// What a replica must remember besides its frames, in a slot of 128 bytes. The file <c>HANDLE.meta</c> has two slots, at 0 and at
/// <see cref="SlotStride"/>; a write goes to the one that does not hold the newest valid copy, so that a torn write loses nothing. When a
/// replica has come to rest, both slots say the same, so that a rotten one loses nothing either.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..127
///   4    2  magic 'S' 'M'
///   6    2  format version, 1
///   8    8  generation: the valid slot with the higher one counts
///  16    8  chunk handle
///  24    8  file id
///  32    8  chunk index in the file
///  40    4  capacity
///  44    1  durability
///  45    1  1: the log ends in a committed SEAL at the committed watermark; nothing in it changes any more
///  46    2  zero
///  48    8  promised ballot
///  56    8  last view: the ballot whose log this replica adopted
///  64    4  committed watermark (a hint: never too high)
///  68    4  digest of the base
///  72   36  boot id of the machine up to which the replica has forgotten nothing, or "distrusted"; ASCII, zero-filled
/// 108    4  durable: frames below were flushed before this was written; 0: not known
/// 112    8  creation id; 0: not known
/// 120    8  zero
/// </code>
/// </summary>
public sealed record ChunkMetadata(
    ChunkDescription Chunk, Ballot Promised, Ballot LastView, uint Committed, bool Sealed, uint BaseDigest, string BootId)
{
    public const int SlotSize = 128;
    public const int SlotStride = 512;
    public const ushort Magic = 0x4D53;
    public const ushort FormatVersion = 1;
    private const int BootIdBytes = 36;

    /// <summary>
    /// Frames below it were flushed before this was written, committed or not. Should they not be there any more, the disk has lost them:
    /// no torn write looks like that. 0: not known.
    /// </summary>
    public uint Durable { get; init; }

    /// <summary>Stands where the boot id stands, and is the id of no boot: the replica may lack what it voted for, whatever its durability.</summary>
    public const string Distrusted = "distrusted";

    public void Write(Span<byte> slot, ulong generation)
    {
        slot = slot[..SlotSize];
        slot.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(slot[4..], Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[6..], FormatVersion);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[8..], generation);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[16..], Chunk.Handle.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[24..], Chunk.File.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[32..], Chunk.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[40..], Chunk.Capacity);
        slot[44] = (byte)Chunk.Durability;
        slot[45] = Sealed ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(slot[48..], Promised.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[56..], LastView.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[64..], Committed);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[68..], BaseDigest);
        var bootId = slot.Slice(72, BootIdBytes);
        Encoding.ASCII.GetBytes(BootId.AsSpan(0, Math.Min(BootId.Length, BootIdBytes)), bootId);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[112..], Chunk.CreationId);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[108..], Durable);
        BinaryPrimitives.WriteUInt32LittleEndian(slot, Crc32C.Compute(slot[4..]));
    }

    /// <summary>It is whole, and of a format that only a newer version knows.</summary>
    public static bool IsNewer(ReadOnlySpan<byte> slot) => slot.Length >= SlotSize
        && BinaryPrimitives.ReadUInt16LittleEndian(slot[4..]) == Magic
        && BinaryPrimitives.ReadUInt16LittleEndian(slot[6..]) > FormatVersion
        && BinaryPrimitives.ReadUInt32LittleEndian(slot) == Crc32C.Compute(slot[4..SlotSize]);

    public static bool TryRead(
        ReadOnlySpan<byte> slot,
        [NotNullWhen(true)] out ChunkMetadata? metadata,
        out ulong generation,
        [NotNullWhen(false)] out string? fault)
    {
        metadata = null;
        generation = 0;
        fault = slot.Length < SlotSize ? "the slot is cut short" : null;
        if (fault is not null)
            return false;
        slot = slot[..SlotSize];
        if (BinaryPrimitives.ReadUInt16LittleEndian(slot[4..]) != Magic)
            fault = "no metadata magic";
        else if (BinaryPrimitives.ReadUInt32LittleEndian(slot) != Crc32C.Compute(slot[4..]))
            fault = "the slot's checksum does not match";
        else if (BinaryPrimitives.ReadUInt16LittleEndian(slot[6..]) is not FormatVersion and var version)
            fault = $"format version {version} is not {FormatVersion}: written by a newer Semel";
        else if (slot[44] is not ((byte)Durability.Group or (byte)Durability.Memory))
            fault = $"unknown durability {slot[44]}";
        if (fault is not null)
            return false;
        generation = BinaryPrimitives.ReadUInt64LittleEndian(slot[8..]);
        var chunk = new ChunkDescription(
            new ChunkHandle(BinaryPrimitives.ReadUInt64LittleEndian(slot[16..])),
            new FileId(BinaryPrimitives.ReadUInt64LittleEndian(slot[24..])),
            BinaryPrimitives.ReadUInt64LittleEndian(slot[32..]),
            BinaryPrimitives.ReadUInt32LittleEndian(slot[40..]),
            (Durability)slot[44],
            BinaryPrimitives.ReadUInt64LittleEndian(slot[112..]));
        metadata = new ChunkMetadata(
            chunk,
            new Ballot(BinaryPrimitives.ReadUInt64LittleEndian(slot[48..])),
            new Ballot(BinaryPrimitives.ReadUInt64LittleEndian(slot[56..])),
            BinaryPrimitives.ReadUInt32LittleEndian(slot[64..]),
            slot[45] == 1,
            BinaryPrimitives.ReadUInt32LittleEndian(slot[68..]),
            Encoding.ASCII.GetString(slot.Slice(72, BootIdBytes)).TrimEnd('\0'))
        {
            Durable = BinaryPrimitives.ReadUInt32LittleEndian(slot[108..]),
        };
        return true;
    }
}
