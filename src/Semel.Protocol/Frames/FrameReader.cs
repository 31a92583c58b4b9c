using Semel.Protocol.Checksums;
using Semel.Protocol.Identity;

namespace Semel.Protocol.Frames;

/// <summary>
/// Reads consecutive frames and checks everything that can be checked of them: header, place, chain, filler bounds, payload.
/// Used by the scan after a crash, by a secondary that receives frames, and by a client that reads.
/// </summary>
public ref struct FrameReader
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly uint _start;
    private uint _chain;
    private readonly bool _anyChain;

    /// <param name="bytes">Frames; the first one begins at <c>bytes[0]</c>.</param>
    /// <param name="offset">The chunk offset of <c>bytes[0]</c>.</param>
    /// <param name="chain">The header CRC of the frame before, or <see cref="FrameHeader.ChainSeed"/>; null: accept the first frame's chain as it is.</param>
    public FrameReader(ReadOnlySpan<byte> bytes, uint offset, uint? chain)
    {
        _bytes = bytes;
        _start = offset;
        _chain = chain ?? 0;
        _anyChain = chain is null;
        Offset = offset;
    }

    /// <summary>End of the last frame that was read, as an offset in the chunk.</summary>
    public uint Offset { get; private set; }

    /// <summary>The header CRC of the last frame that was read.</summary>
    public readonly uint Chain => _chain;

    /// <summary>The last frame that was read.</summary>
    public FrameHeader Header { get; private set; }

    /// <summary>The last frame's payload.</summary>
    public ReadOnlySpan<byte> Payload { get; private set; }

    /// <summary>Why <see cref="Read"/> returned false; null at the clean end of the bytes.</summary>
    public string? Fault { get; private set; }

    /// <summary>True: <see cref="Header"/> and <see cref="Payload"/> are the next good frame. False: the end, or a fault.</summary>
    public bool Read()
    {
        int at = (int)(Offset - _start);
        var rest = _bytes[at..];
        if (rest.IsEmpty)
            return false;
        if (!FrameHeader.TryRead(rest, out var header, out string? fault))
            return Fail(fault);
        if (header.Offset != Offset)
            return Fail($"the frame says that it belongs to offset {header.Offset}");
        if (header.Chain != _chain && !(_anyChain && at == 0))
            return Fail($"the frame follows one with checksum {header.Chain:x8}, the one before it has {_chain:x8}");
        if (header.PayloadLength > int.MaxValue - FrameHeader.Size - FrameHeader.Alignment || header.FrameLength > (uint)rest.Length)
            return Fail($"the frame is {header.PayloadLength} bytes long, {rest.Length - FrameHeader.Size} are there");
        var payload = rest.Slice(FrameHeader.Size, (int)header.PayloadLength);
        uint crc = Crc32C.Compute(payload);
        if (crc != header.PayloadCrc)
            return Fail($"payload checksum is {crc:x8}, the header says {header.PayloadCrc:x8}");
        if (rest[(FrameHeader.Size + payload.Length)..(int)header.FrameLength].IndexOfAnyExcept((byte)0) >= 0)
            return Fail("the filler behind the payload is not zero");
        Header = header;
        Payload = payload;
        Offset += header.FrameLength;
        _chain = header.HeaderCrc;
        return true;
    }

    private bool Fail(string fault)
    {
        Fault = $"at offset {Offset}: {fault}";
        return false;
    }
}
