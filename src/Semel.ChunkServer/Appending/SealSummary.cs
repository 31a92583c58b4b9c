using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol.Frames;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// The payload of a SEAL frame: what the chunk amounts to. Little endian; sections may follow the fixed part (u16 id, u16 zero, u32 length,
/// bytes), unknown ones are skipped.
/// <code>
/// off size
///   0    4  offset of the SEAL frame: the bytes of the chunk's other frames
///   4    4  digest of the next chunk's base
///   8    8  records in the file up to here
///  16    8  bytes of those records
///  24    4  writers that the file knows
///  28    4  zero
/// </code>
/// </summary>
internal readonly record struct SealSummary(uint Length, uint BaseDigest, ulong FileRecords, ulong FilePayloadBytes, uint Writers)
{
    public const int Size = FrameHeader.SealPayloadLength;

    public void Write(Span<byte> target)
    {
        target[..Size].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(target, Length);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], BaseDigest);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], FileRecords);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], FilePayloadBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], Writers);
    }

    public static bool TryRead(ReadOnlySpan<byte> payload, out SealSummary summary, [NotNullWhen(false)] out string? fault)
    {
        summary = default;
        fault = payload.Length < Size ? $"a SEAL of {payload.Length} bytes is too short" : null;
        if (fault is not null)
            return false;
        summary = new SealSummary(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[24..]));
        return true;
    }
}
