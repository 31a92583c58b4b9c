using System.Numerics;
using Semel.Protocol.Checksums;

namespace Semel.Storage.Journals;

/// <summary>One bit of a segment that is not what it was when it was written.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="Offset">Of the byte in the segment.</param>
/// <param name="Bit">0 to 7, the lowest first.</param>
internal readonly record struct FlippedBit(ulong Segment, long Offset, int Bit)
{
    public byte Mask => (byte)(1 << Bit);
}

/// <summary>
/// Finds the one bit that is wrong. Up to 2^31 bits no two errors of one bit have the same CRC32C, so there is at most one bit whose flip
/// makes a checksum right; and other damage looks like one bit with a probability of (bits / 2^32) only.
/// </summary>
internal static class BitSearch
{
    /// <summary>Longer entries are not searched: of 64 KiB of garbage one in 8,000 would look like one flipped bit.</summary>
    public const int MaxSearchedBytes = 64 << 10;

    /// <summary>Tries every bit of a small structure. Null: no flip makes it good.</summary>
    public static (int Byte, int Bit)? InHeader(Span<byte> header, Func<ReadOnlyMemory<byte>, bool> isGood)
    {
        var copy = header.ToArray();
        for (int bit = 0; bit < copy.Length * 8; bit++)
        {
            copy[bit / 8] ^= (byte)(1 << (bit % 8));
            if (isGood(copy))
                return (bit / 8, bit % 8);
            copy[bit / 8] ^= (byte)(1 << (bit % 8));
        }
        return null;
    }

    /// <summary>The bit of the bytes whose flip gives them the checksum.</summary>
    public static (int Byte, int Bit)? InBytes(ReadOnlySpan<byte> bytes, uint crc)
    {
        if (bytes.Length > MaxSearchedBytes)
            return null;
        // The checksum is linear: what a flipped bit adds to it depends on the bit's distance from the end alone.
        uint difference = Crc32C.Compute(bytes) ^ crc;
        Span<uint> effects = stackalloc uint[8];
        for (int bit = 0; bit < 8; bit++)
            effects[bit] = BitOperations.Crc32C(0, (byte)(1 << bit));
        for (int at = bytes.Length - 1; at >= 0; at--)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                if (effects[bit] == difference)
                    return (at, bit);
                effects[bit] = BitOperations.Crc32C(effects[bit], (byte)0);
            }
        }
        return null;
    }
}
