using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol.Checksums;
using Semel.Protocol.Identity;

namespace Semel.Protocol.Frames;

/// <summary>What a frame is. The numbers are on disk and never change their meaning.</summary>
public enum FrameKind : byte
{
    /// <summary>A batch of records.</summary>
    Data = 1,

    /// <summary>A new epoch of a writer: no frame of an older epoch follows.</summary>
    InitWriter = 2,

    /// <summary>The chunk's last frame. Its payload is the <c>SealSummary</c>.</summary>
    Seal = 3,

    /// <summary>A writer is forgotten.</summary>
    EvictWriter = 4,
}

/// <summary>
/// The 64 bytes before a frame's payload, on disk and on the wire the same. Little endian. A frame starts at a multiple of 8;
/// zeros fill up behind its payload.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..63
///   4    2  magic 'S' 'F'
///   6    2  record count (0 unless Data)
///   8    4  payload length
///  12    1  kind
///  13    1  flags: bit 0 payload compressed (refused so far); others must be 0
///  14    6  time at which it was sequenced: milliseconds since 1970 UTC, never going back within a chunk
///  20    4  own offset in the chunk                     (finds misplaced writes)
///  24    8  ballot that sequenced it
///  32    8  writer id (0: anonymous)
///  40    8  first sequence
///  48    4  writer epoch
///  52    4  committed watermark when it was sequenced   (a durable hint: everything below it is on every replica)
///  56    4  chain: the previous frame's header CRC; in a chunk's first frame the CRC32C of its handle
///  60    4  CRC32C of the payload
/// </code>
/// Whether a frame is prepared or committed is not in it: that is a fact about all replicas (the watermark).
/// </summary>
public readonly record struct FrameHeader
{
    public const int Size = 64;
    public const ushort Magic = 0x4653;
    public const int Alignment = 8;

    /// <summary>The least payload of a SEAL frame: its fixed part.</summary>
    public const int SealPayloadLength = 32;

    public FrameKind Kind { get; init; }
    public ushort RecordCount { get; init; }
    public uint PayloadLength { get; init; }
    public long TimeMs { get; init; }
    public uint Offset { get; init; }
    public Ballot Ballot { get; init; }
    public WriterId Writer { get; init; }
    public uint Epoch { get; init; }
    public ulong FirstSequence { get; init; }
    public uint Committed { get; init; }
    public uint Chain { get; init; }
    public uint PayloadCrc { get; init; }

    /// <summary>CRC32C of the header's other bytes; the next frame's <see cref="Chain"/>. Set by reading and by <see cref="Write"/>.</summary>
    public uint HeaderCrc { get; init; }

    /// <summary>Bytes that the frame takes in the chunk: header, payload, filler.</summary>
    public uint FrameLength => LengthOfFrame(PayloadLength);

    /// <summary>Offset of the next frame.</summary>
    public uint End => Offset + FrameLength;

    /// <summary>The last record's sequence; meaningless unless <see cref="FrameKind.Data"/>.</summary>
    public ulong LastSequence => FirstSequence + RecordCount - 1;

    public static uint LengthOfFrame(uint payloadLength) => Size + ((payloadLength + (Alignment - 1)) & ~(uint)(Alignment - 1));

    /// <summary>What the first frame of a chunk has in <see cref="Chain"/>.</summary>
    public static uint ChainSeed(ChunkHandle handle)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, handle.Value);
        return Crc32C.Compute(bytes);
    }

    /// <summary>Writes the 64 bytes and returns their CRC.</summary>
    public uint Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[6..], RecordCount);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], PayloadLength);
        target[12] = (byte)Kind;
        target[13] = 0;
        BinaryPrimitives.WriteUInt16LittleEndian(target[14..], (ushort)TimeMs);
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], (uint)(TimeMs >> 16));
        BinaryPrimitives.WriteUInt32LittleEndian(target[20..], Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], Ballot.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], Writer.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(target[40..], FirstSequence);
        BinaryPrimitives.WriteUInt32LittleEndian(target[48..], Epoch);
        BinaryPrimitives.WriteUInt32LittleEndian(target[52..], Committed);
        BinaryPrimitives.WriteUInt32LittleEndian(target[56..], Chain);
        BinaryPrimitives.WriteUInt32LittleEndian(target[60..], PayloadCrc);
        uint crc = Crc32C.Compute(target[4..Size]);
        BinaryPrimitives.WriteUInt32LittleEndian(target, crc);
        return crc;
    }

    /// <summary>Reads and checks a header by itself: checksum, magic, kind, flags. What stands around it (offset, chain, payload) the caller checks.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out FrameHeader header, [NotNullWhen(false)] out string? fault)
    {
        header = default;
        if (source.Length < Size)
        {
            fault = $"{source.Length} bytes are too few for a frame header of {Size}";
            return false;
        }
        if (BinaryPrimitives.ReadUInt16LittleEndian(source[4..]) != Magic)
        {
            fault = "no frame magic";
            return false;
        }
        uint crc = BinaryPrimitives.ReadUInt32LittleEndian(source);
        uint actual = Crc32C.Compute(source[4..Size]);
        if (crc != actual)
        {
            fault = $"header checksum is {actual:x8}, the header says {crc:x8}";
            return false;
        }
        if (source[12] is < (byte)FrameKind.Data or > (byte)FrameKind.EvictWriter)
        {
            fault = $"unknown frame kind {source[12]}: written by a newer version?";
            return false;
        }
        if (source[13] != 0)
        {
            fault = $"unknown frame flags {source[13]:x2}: written by a newer version?";
            return false;
        }
        header = new FrameHeader
        {
            HeaderCrc = crc,
            RecordCount = BinaryPrimitives.ReadUInt16LittleEndian(source[6..]),
            PayloadLength = BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            Kind = (FrameKind)source[12],
            TimeMs = BinaryPrimitives.ReadUInt16LittleEndian(source[14..]) | (long)BinaryPrimitives.ReadUInt32LittleEndian(source[16..]) << 16,
            Offset = BinaryPrimitives.ReadUInt32LittleEndian(source[20..]),
            Ballot = new Ballot(BinaryPrimitives.ReadUInt64LittleEndian(source[24..])),
            Writer = new WriterId(BinaryPrimitives.ReadUInt64LittleEndian(source[32..])),
            FirstSequence = BinaryPrimitives.ReadUInt64LittleEndian(source[40..]),
            Epoch = BinaryPrimitives.ReadUInt32LittleEndian(source[48..]),
            Committed = BinaryPrimitives.ReadUInt32LittleEndian(source[52..]),
            Chain = BinaryPrimitives.ReadUInt32LittleEndian(source[56..]),
            PayloadCrc = BinaryPrimitives.ReadUInt32LittleEndian(source[60..]),
        };
        fault = null;
        return true;
    }
}
