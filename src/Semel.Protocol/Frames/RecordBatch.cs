using System.Buffers.Binary;

namespace Semel.Protocol.Frames;

/// <summary>The payload of a Data frame: for each record its length (u32, little endian) and its bytes. A record may be empty.</summary>
public static class RecordBatch
{
    /// <summary>Bytes before each record.</summary>
    public const int LengthPrefix = 4;

    /// <summary>A frame's record count has 16 bits.</summary>
    public const int MaxRecords = ushort.MaxValue;

    /// <summary>True when the payload is exactly <paramref name="records"/> well-formed records.</summary>
    public static bool IsWellFormed(ReadOnlySpan<byte> payload, uint records)
    {
        while (TryTake(ref payload, out _))
        {
            if (records-- == 0)
                return false;
        }
        return records == 0 && payload.IsEmpty;
    }

    /// <summary>Takes the next record off the front. False at the end, or when the rest is malformed (then it is not empty).</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> record)
    {
        record = default;
        if (rest.Length < LengthPrefix)
            return false;
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(rest);
        if (length > (uint)(rest.Length - LengthPrefix))
            return false;
        record = rest.Slice(LengthPrefix, (int)length);
        rest = rest[(LengthPrefix + (int)length)..];
        return true;
    }

    /// <summary>Bytes that a record of this length takes in a payload.</summary>
    public static int Footprint(int recordLength) => LengthPrefix + recordLength;

    /// <summary>Writes a record and returns the bytes it took.</summary>
    public static int Write(Span<byte> target, ReadOnlySpan<byte> record)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, (uint)record.Length);
        record.CopyTo(target[LengthPrefix..]);
        return Footprint(record.Length);
    }
}
