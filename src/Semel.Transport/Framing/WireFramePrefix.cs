using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol.Checksums;
using Semel.Protocol.Messages;

namespace Semel.Transport.Framing;

/// <summary>What a wire frame is. The numbers are on the wire and never change their meaning.</summary>
internal enum WireFrameType : byte
{
    /// <summary>The dialing side's first frame. Header: <see cref="Protocol.Messages.Hello"/>.</summary>
    Hello = 1,

    /// <summary>The accepting side's answer to it, and its first frame. Header: <see cref="Protocol.Messages.Hello"/>.</summary>
    Welcome = 2,

    /// <summary>A call: header of its kind, payload.</summary>
    Request = 3,

    /// <summary>The answer to a call: header of its kind, payload.</summary>
    Reply = 4,

    /// <summary>A call was not carried out because its kind or its header was not understood. Header: the reason in UTF-8.</summary>
    Refusal = 5,

    /// <summary>The caller does not wait for the answer any more.</summary>
    Cancel = 6,

    /// <summary>"I am alive." Sent by either side when it had nothing else to send; not answered.</summary>
    Ping = 7,

    /// <summary>The sender closes the connection. Header: the reason in UTF-8.</summary>
    Goodbye = 8,
}

/// <summary>Lengths that a receiver accepts. Checked before anything is allocated.</summary>
internal readonly record struct WireLimits(int MaxHeaderBytes, int MaxPayloadBytes);

/// <summary>
/// The 40 bytes before a wire frame's header (protobuf) and payload (raw bytes). Little endian.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..39
///   4    2  magic 'S' 'W'
///   6    1  type
///   7    1  flags: bit 0 the payload is covered by the body's checksum; others must be 0
///   8    4  total length: 40 + header + payload
///  12    4  header length
///  16    4  payload length
///  20    2  message kind (Request, Reply; else 0)
///  22    2  zero
///  24    8  call id (Request, Reply, Refusal, Cancel; else 0)
///  32    4  milliseconds that the caller still waits (Request; else 0)
///  36    4  CRC32C of the payload (when covered) followed by the header
/// </code>
/// The layout is the same in every version of the protocol, so that the handshake can refuse in words.
/// </summary>
internal readonly record struct WireFramePrefix
{
    public const int Size = 40;
    public const ushort Magic = 0x5753;
    private const byte PayloadCoveredFlag = 1;

    public WireFrameType Type { get; init; }
    public MessageKind Kind { get; init; }
    public ulong CallId { get; init; }
    public uint TimeLeftMs { get; init; }
    public int HeaderLength { get; init; }
    public int PayloadLength { get; init; }
    public bool PayloadCovered { get; init; }
    public uint BodyCrc { get; init; }

    /// <summary>Bytes of the whole frame.</summary>
    public int TotalLength => Size + HeaderLength + PayloadLength;

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], Magic);
        target[6] = (byte)Type;
        target[7] = PayloadCovered ? PayloadCoveredFlag : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(target[8..], TotalLength);
        BinaryPrimitives.WriteInt32LittleEndian(target[12..], HeaderLength);
        BinaryPrimitives.WriteInt32LittleEndian(target[16..], PayloadLength);
        BinaryPrimitives.WriteUInt16LittleEndian(target[20..], (ushort)Kind);
        BinaryPrimitives.WriteUInt16LittleEndian(target[22..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], CallId);
        BinaryPrimitives.WriteUInt32LittleEndian(target[32..], TimeLeftMs);
        BinaryPrimitives.WriteUInt32LittleEndian(target[36..], BodyCrc);
        BinaryPrimitives.WriteUInt32LittleEndian(target, Crc32C.Compute(target[4..Size]));
    }

    /// <summary>Reads and checks a prefix by itself: checksum, magic, type, lengths against <paramref name="limits"/>. The body is checked by <see cref="CheckBody"/>.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, WireLimits limits, out WireFramePrefix prefix, [NotNullWhen(false)] out string? fault)
    {
        prefix = default;
        if (source.Length < Size)
        {
            fault = $"{source.Length} bytes are too few for a wire frame's prefix of {Size}";
            return false;
        }
        if (BinaryPrimitives.ReadUInt16LittleEndian(source[4..]) != Magic)
        {
            fault = "these bytes are not Semel's protocol";
            return false;
        }
        uint crc = BinaryPrimitives.ReadUInt32LittleEndian(source);
        uint actual = Crc32C.Compute(source[4..Size]);
        if (crc != actual)
        {
            fault = $"the prefix's checksum is {actual:x8}, the prefix says {crc:x8}";
            return false;
        }
        uint total = BinaryPrimitives.ReadUInt32LittleEndian(source[8..]);
        uint header = BinaryPrimitives.ReadUInt32LittleEndian(source[12..]);
        uint payload = BinaryPrimitives.ReadUInt32LittleEndian(source[16..]);
        if (header > (uint)limits.MaxHeaderBytes)
        {
            fault = $"a header of {header} bytes is over the limit of {limits.MaxHeaderBytes}";
            return false;
        }
        if (payload > (uint)limits.MaxPayloadBytes)
        {
            fault = $"a payload of {payload} bytes is over the limit of {limits.MaxPayloadBytes}";
            return false;
        }
        if (total != (ulong)Size + header + payload)
        {
            fault = $"the total length {total} is not {Size} + {header} + {payload}";
            return false;
        }
        if ((source[7] & ~PayloadCoveredFlag) != 0 || BinaryPrimitives.ReadUInt16LittleEndian(source[22..]) != 0)
        {
            fault = "flags that this version does not know: a newer version?";
            return false;
        }
        prefix = new WireFramePrefix
        {
            Type = (WireFrameType)source[6],
            PayloadCovered = (source[7] & PayloadCoveredFlag) != 0,
            HeaderLength = (int)header,
            PayloadLength = (int)payload,
            Kind = (MessageKind)BinaryPrimitives.ReadUInt16LittleEndian(source[20..]),
            CallId = BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
            TimeLeftMs = BinaryPrimitives.ReadUInt32LittleEndian(source[32..]),
            BodyCrc = BinaryPrimitives.ReadUInt32LittleEndian(source[36..]),
        };
        fault = prefix.FaultOfType();
        return fault is null;
    }

    /// <summary>Why the header or payload is not what the sender wrote; null when it is.</summary>
    /// <param name="header">The frame's.</param>
    /// <param name="payload">The frame's.</param>
    /// <param name="crcOfPayload">Of a payload that is covered: who needs it again need not compute it.</param>
    public string? CheckBody(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload, out uint? crcOfPayload)
    {
        crcOfPayload = PayloadCovered ? Crc32C.Compute(payload) : null;
        uint actual = CrcOfBody(crcOfPayload ?? 0, header);
        return actual == BodyCrc ? null : $"the checksum of a {Type} frame's body is {actual:x8}, its prefix says {BodyCrc:x8}";
    }

    /// <summary>The payload comes first, so that a sender can sum it up before it has the header's bytes.</summary>
    public static uint CrcOfBody(uint crcOfPayload, ReadOnlySpan<byte> header) => Crc32C.Append(crcOfPayload, header);

    /// <summary>What each type may carry.</summary>
    private string? FaultOfType()
    {
        bool fits = Type switch
        {
            WireFrameType.Request => CallId != 0 && Kind != 0,
            WireFrameType.Reply => CallId != 0 && Kind != 0 && TimeLeftMs == 0,
            WireFrameType.Refusal => CallId != 0 && Kind == 0 && TimeLeftMs == 0 && PayloadLength == 0,
            WireFrameType.Cancel => CallId != 0 && Kind == 0 && TimeLeftMs == 0 && PayloadLength == 0 && HeaderLength == 0,
            WireFrameType.Ping => CallId == 0 && Kind == 0 && TimeLeftMs == 0 && PayloadLength == 0 && HeaderLength == 0,
            WireFrameType.Hello or WireFrameType.Welcome or WireFrameType.Goodbye =>
                CallId == 0 && Kind == 0 && TimeLeftMs == 0 && PayloadLength == 0,
            _ => false,
        };
        return fits ? null : $"a frame of type {Type} with kind {(ushort)Kind}, call {CallId}, header {HeaderLength}, payload {PayloadLength} makes no sense";
    }
}
