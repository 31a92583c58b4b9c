using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Semel.Protocol.Checksums;

/// <summary>
/// CRC-32C (Castagnoli), as in RFC 3720. Check value of "123456789": e3069283. Uses the widest carry-less multiplication that the processor has, and its CRC
/// instruction for short inputs and for the end of long ones.
/// </summary>
/// <remarks>
/// Polynomials over GF(2), least significant bit first: bit i of a 64-bit word stands for x^(63-i), so the earliest byte has the highest powers. The CRC of a
/// message is its remainder modulo P, hence any part of a message can be replaced by something congruent to it.
/// <para><b>Folding.</b> A 128-bit block A that stands D bits before a block B is congruent to A * x^D at B's place. With A = H * x^64 + L (H is the earlier, low
/// lane), A * x^D = H * (x^(D+64) mod P) + L * (x^D mod P): two 64-by-32-bit products, which fit into B's 128 bits and are added (XOR) to B. Several
/// blocks are folded side by side to hide the latency of the multiplication.</para>
/// <para><b>The 33.</b> A constant k = x^n mod P has 32 bits; as a word it is in the lower half, where bit-reversed 64-bit words have their powers below x^32 times too
/// high: it reads as k * x^32. And a bit-reversed product of 64 by 64 bits has 127 bits, one place too low, which reads as one more x. So the constant
/// for a shift by n is x^(n-33) mod P.</para>
/// <para><b>The end.</b> What remains is at most 128 bits; the CRC instruction over their 16 bytes, started with 0, is the remainder.</para>
/// </remarks>
public static class Crc32C
{
    /// <summary>P without its x^32, bit-reversed.</summary>
    private const uint Polynomial = 0x82f63b78;

    // Below these lengths the next simpler way is as fast (measured).
    private const int MinFold128 = 160;
    private const int MinFold512 = 384;

    private static readonly Vector128<ulong> By128Bits = Shift(128);
    private static readonly Vector128<ulong> By512Bits = Shift(512);
    private static readonly Vector512<ulong> Each512By512Bits = Repeat(Shift(512));
    private static readonly Vector512<ulong> Each512By2048Bits = Repeat(Shift(2048));

    public static uint Compute(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <summary>The checksum of the concatenation, given the checksum of its first part.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        if (Pclmulqdq.V512.IsSupported && bytes.Length >= MinFold512)
            return ~Fold512(~crc, bytes);
        if (Pclmulqdq.IsSupported && bytes.Length >= MinFold128)
            return ~Fold128(~crc, bytes);
        return ~Words(~crc, bytes);
    }

    /// <summary>One CRC instruction for 8 bytes; a table on processors without it. Takes and gives the register, not the checksum.</summary>
    internal static uint Words(uint register, ReadOnlySpan<byte> bytes)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words)
            register = BitOperations.Crc32C(register, word);
        foreach (byte b in bytes[(words.Length * sizeof(ulong))..])
            register = BitOperations.Crc32C(register, b);
        return register;
    }

    /// <summary>Four blocks of 128 bits side by side. At least 64 bytes.</summary>
    internal static uint Fold128(uint register, ReadOnlySpan<byte> bytes)
    {
        Invariant.Holds(bytes.Length >= 64);
        ref byte at = ref MemoryMarshal.GetReference(bytes);
        int left = bytes.Length - 64;
        var a = Load128(ref at, 0) ^ Vector128.CreateScalar((ulong)register);
        var b = Load128(ref at, 16);
        var c = Load128(ref at, 32);
        var d = Load128(ref at, 48);
        at = ref Unsafe.Add(ref at, 64);
        for (; left >= 64; left -= 64)
        {
            a = Fold(a, By512Bits) ^ Load128(ref at, 0);
            b = Fold(b, By512Bits) ^ Load128(ref at, 16);
            c = Fold(c, By512Bits) ^ Load128(ref at, 32);
            d = Fold(d, By512Bits) ^ Load128(ref at, 48);
            at = ref Unsafe.Add(ref at, 64);
        }
        return Finish(JoinInOrder(a, b, c, d), bytes[^left..]);
    }

    /// <summary>Four blocks of 512 bits side by side, each four of 128. At least 256 bytes.</summary>
    internal static uint Fold512(uint register, ReadOnlySpan<byte> bytes)
    {
        Invariant.Holds(bytes.Length >= 256);
        ref byte at = ref MemoryMarshal.GetReference(bytes);
        int left = bytes.Length - 256;
        var a = Load512(ref at, 0) ^ Vector512.CreateScalar((ulong)register);
        var b = Load512(ref at, 64);
        var c = Load512(ref at, 128);
        var d = Load512(ref at, 192);
        at = ref Unsafe.Add(ref at, 256);
        for (; left >= 256; left -= 256)
        {
            a = Fold(a, Each512By2048Bits) ^ Load512(ref at, 0);
            b = Fold(b, Each512By2048Bits) ^ Load512(ref at, 64);
            c = Fold(c, Each512By2048Bits) ^ Load512(ref at, 128);
            d = Fold(d, Each512By2048Bits) ^ Load512(ref at, 192);
            at = ref Unsafe.Add(ref at, 256);
        }
        b ^= Fold(a, Each512By512Bits);
        c ^= Fold(b, Each512By512Bits);
        d ^= Fold(c, Each512By512Bits);
        for (; left >= 64; left -= 64)
        {
            d = Fold(d, Each512By512Bits) ^ Load512(ref at, 0);
            at = ref Unsafe.Add(ref at, 64);
        }
        var (first, second) = (d.GetLower(), d.GetUpper());
        return Finish(JoinInOrder(first.GetLower(), first.GetUpper(), second.GetLower(), second.GetUpper()), bytes[^left..]);
    }

    /// <summary>Four neighbouring blocks, earliest first, as one in the last one's place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> JoinInOrder(Vector128<ulong> a, Vector128<ulong> b, Vector128<ulong> c, Vector128<ulong> d)
    {
        b ^= Fold(a, By128Bits);
        c ^= Fold(b, By128Bits);
        return d ^ Fold(c, By128Bits);
    }

    /// <summary>The register after the block and after the fewer than 64 bytes that follow it.</summary>
    private static uint Finish(Vector128<ulong> block, ReadOnlySpan<byte> rest)
    {
        for (; rest.Length >= 16; rest = rest[16..])
            block = Fold(block, By128Bits) ^ Load128(ref MemoryMarshal.GetReference(rest), 0);
        uint register = BitOperations.Crc32C(0, block.ToScalar());
        return Words(BitOperations.Crc32C(register, block.GetElement(1)), rest);
    }

    /// <summary>Multiplies both lanes by their constants and adds the products.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Fold(Vector128<ulong> block, Vector128<ulong> shift) =>
        Pclmulqdq.CarrylessMultiply(block, shift, 0x00) ^ Pclmulqdq.CarrylessMultiply(block, shift, 0x11);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Fold(Vector512<ulong> blocks, Vector512<ulong> shift) =>
        Pclmulqdq.V512.CarrylessMultiply(blocks, shift, 0x00) ^ Pclmulqdq.V512.CarrylessMultiply(blocks, shift, 0x11);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Load128(ref byte at, nuint offset) => Vector128.LoadUnsafe(ref at, offset).AsUInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Load512(ref byte at, nuint offset) => Vector512.LoadUnsafe(ref at, offset).AsUInt64();

    /// <summary>The two constants that move a 128-bit block by <paramref name="bits"/>.</summary>
    private static Vector128<ulong> Shift(int bits) => Vector128.Create((ulong)PowerOfX(bits + 64 - 33), PowerOfX(bits - 33));

    private static Vector512<ulong> Repeat(Vector128<ulong> constants)
    {
        var twice = Vector256.Create(constants, constants);
        return Vector512.Create(twice, twice);
    }

    /// <summary>x^n mod P, bit-reversed: each step multiplies by x and, where that reaches x^32, subtracts P.</summary>
    private static uint PowerOfX(int n)
    {
        uint power = 0x80000000;
        for (int i = 0; i < n; i++)
            power = (power & 1) != 0 ? (power >> 1) ^ Polynomial : power >> 1;
        return power;
    }
}
