using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;
using Semel.Protocol.Checksums;
using Xunit;

namespace Semel.Tests.Protocol;

public sealed class Crc32CTests
{
    /// <summary>The definition, bit by bit.</summary>
    private static uint BitByBit(uint crc, ReadOnlySpan<byte> bytes)
    {
        crc = ~crc;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
        }
        return ~crc;
    }

    [Fact]
    public void The_check_value_is_right()
    {
        Assert.Equal(0xe3069283, Crc32C.Compute("123456789"u8));
        Assert.Equal(0u, Crc32C.Compute([]));
    }

    /// <summary>RFC 3720, appendix B.4. It shows the bytes in the order in which they are sent.</summary>
    [Fact]
    public void The_examples_of_rfc_3720_are_right()
    {
        byte[] increasing = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        byte[] readCommand =
        [
            0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18,
            0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ];

        Assert.Equal("aa36918a", Sent(new byte[32]));
        Assert.Equal("43aba862", Sent([.. Enumerable.Repeat((byte)0xff, 32)]));
        Assert.Equal("4e79dd46", Sent(increasing));
        Assert.Equal("5cdb3f11", Sent([.. increasing.Reverse()]));
        Assert.Equal("563a96d9", Sent(readCommand));
    }

    private static string Sent(byte[] bytes)
    {
        Span<byte> sent = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(sent, Crc32C.Compute(bytes));
        return Convert.ToHexStringLower(sent);
    }

    [Fact]
    public void Every_length_up_to_1500_at_every_alignment_is_right()
    {
        var random = new Random(1);
        var bytes = new byte[1600];
        random.NextBytes(bytes);
        for (int length = 0; length <= 1500; length++)
        {
            int start = length % 64;
            uint seed = (uint)random.NextInt64();

            Assert.Equal(BitByBit(seed, bytes.AsSpan(start, length)), Crc32C.Append(seed, bytes.AsSpan(start, length)));
        }
    }

    [Fact]
    public void Every_way_of_computing_it_agrees_on_random_inputs()
    {
        var random = new Random(2);
        var bytes = new byte[20_000];
        random.NextBytes(bytes);
        for (int round = 0; round < 1000; round++)
        {
            int start = random.Next(100);
            var part = bytes.AsSpan(start, random.Next(256, round % 10 == 0 ? bytes.Length - start : 1024));
            uint seed = (uint)random.NextInt64();
            uint expected = BitByBit(seed, part);

            Assert.Equal(expected, ~Crc32C.Words(~seed, part));
            if (Pclmulqdq.IsSupported)
                Assert.Equal(expected, ~Crc32C.Fold128(~seed, part));
            if (Pclmulqdq.V512.IsSupported)
                Assert.Equal(expected, ~Crc32C.Fold512(~seed, part));
            Assert.Equal(expected, Crc32C.Append(seed, part));
        }
    }

    [Fact]
    public void The_checksum_of_a_concatenation_follows_from_the_first_parts()
    {
        var random = new Random(3);
        var bytes = new byte[5000];
        random.NextBytes(bytes);
        uint whole = Crc32C.Compute(bytes);
        for (int round = 0; round < 500; round++)
        {
            int cut = random.Next(bytes.Length + 1);

            Assert.Equal(whole, Crc32C.Append(Crc32C.Compute(bytes.AsSpan(0, cut)), bytes.AsSpan(cut)));
        }
    }
}
