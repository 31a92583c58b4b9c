using System.Numerics;
using System.Runtime.InteropServices;

namespace Semel.Protocol.Checksums;

/// <summary>CRC-32C (Castagnoli), as in RFC 3720. Check value of "123456789": e3069283.</summary>
public static class Crc32C
{
    public static uint Compute(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <summary>The checksum of the concatenation, given the checksum of its first part.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        crc = ~crc;
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words)
            crc = BitOperations.Crc32C(crc, word);
        foreach (byte b in bytes[(words.Length * 8)..])
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
