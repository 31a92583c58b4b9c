using Semel.Protocol.Messages;
using Semel.Transport.Framing;

namespace Semel.Tests.Transport;

/// <summary>The layout in <c>docs/internals/wire.md</c>.</summary>
public sealed class WireFramePrefixTests
{
    private static readonly WireLimits Limits = new(1000, 2000);

    private static readonly WireFramePrefix Example = new()
    {
        Type = WireFrameType.Request,
        Kind = MessageKind.Stat,
        CallId = 0x0102030405060708,
        TimeLeftMs = 30_000,
        HeaderLength = 5,
        PayloadLength = 7,
        PayloadCovered = true,
        BodyCrc = 0xa1b2c3d4,
    };

    [Fact]
    public void A_prefix_is_these_40_bytes()
    {
        byte[] bytes = new byte[WireFramePrefix.Size];

        Example.Write(bytes);

        Assert.Equal(
            "11366E24535703013400000005000000070000003F000000080706050403020130750000D4C3B2A1", Convert.ToHexString(bytes));
        Assert.True(WireFramePrefix.TryRead(bytes, Limits, out var read, out _));
        Assert.Equal(Example, read);
    }

    [Fact]
    public void Every_flipped_bit_is_found()
    {
        byte[] bytes = new byte[WireFramePrefix.Size];
        Example.Write(bytes);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << bit % 8);

            Assert.False(WireFramePrefix.TryRead(bytes, Limits, out _, out string? fault));

            Assert.NotEmpty(fault);
            bytes[bit / 8] ^= (byte)(1 << bit % 8);
        }
    }

    [Fact]
    public void Every_flipped_bit_of_header_and_payload_is_found()
    {
        byte[] bytes = RawPeer.Frame(WireFrameType.Request, MessageKind.Stat, 1, Wires.Ask("/path"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        Assert.True(WireFramePrefix.TryRead(bytes, Limits, out var prefix, out _));
        int header = WireFramePrefix.Size;
        int payload = header + prefix.HeaderLength;
        Assert.Null(prefix.CheckBody(bytes.AsSpan(header..payload), bytes.AsSpan(payload), out _));
        for (int bit = header * 8; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << bit % 8);

            Assert.NotNull(prefix.CheckBody(bytes.AsSpan(header..payload), bytes.AsSpan(payload), out _));

            bytes[bit / 8] ^= (byte)(1 << bit % 8);
        }
    }

    [Theory]
    [InlineData(1000, 2000, true)]
    [InlineData(1001, 2000, false)]
    [InlineData(1000, 2001, false)]
    [InlineData(int.MaxValue - 40, 0, false)]
    [InlineData(0, int.MaxValue - 40, false)]
    public void Lengths_over_the_limits_are_refused(int header, int payload, bool fits)
    {
        byte[] bytes = new byte[WireFramePrefix.Size];
        (Example with { HeaderLength = header, PayloadLength = payload }).Write(bytes);

        Assert.Equal(fits, WireFramePrefix.TryRead(bytes, Limits, out _, out _));
    }

    [Theory]
    [InlineData(WireFrameType.Ping, 0, 0UL, 0, 0, true)]
    [InlineData(WireFrameType.Ping, 0, 1UL, 0, 0, false)]
    [InlineData(WireFrameType.Ping, 0, 0UL, 1, 0, false)]
    [InlineData(WireFrameType.Cancel, 0, 1UL, 0, 0, true)]
    [InlineData(WireFrameType.Cancel, 0, 0UL, 0, 0, false)]
    [InlineData(WireFrameType.Request, 63, 0UL, 0, 0, false)]
    [InlineData(WireFrameType.Request, 0, 1UL, 0, 0, false)]
    [InlineData(WireFrameType.Goodbye, 0, 0UL, 3, 0, true)]
    [InlineData(WireFrameType.Goodbye, 0, 0UL, 3, 1, false)]
    [InlineData(WireFrameType.Refusal, 0, 9UL, 3, 0, true)]
    [InlineData((WireFrameType)0, 0, 0UL, 0, 0, false)]
    [InlineData((WireFrameType)9, 0, 0UL, 0, 0, false)]
    internal void A_type_carries_only_what_it_needs(WireFrameType type, int kind, ulong call, int header, int payload, bool fits)
    {
        byte[] bytes = new byte[WireFramePrefix.Size];
        new WireFramePrefix { Type = type, Kind = (MessageKind)kind, CallId = call, HeaderLength = header, PayloadLength = payload }.Write(bytes);

        Assert.Equal(fits, WireFramePrefix.TryRead(bytes, Limits, out _, out _));
    }
}
