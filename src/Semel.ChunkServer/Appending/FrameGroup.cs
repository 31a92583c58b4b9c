using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// Frames that go to the disk with one write, to each secondary with one message, and become durable with one flush. Records are copied
/// once, into this.
/// </summary>
internal sealed class FrameGroup
{
    private SharedBuffer? _buffer;
    private uint? _crc;     // of all of it, once somebody has asked for it

    public uint Start { get; private set; }
    public int Length { get; private set; }
    public uint End => Start + (uint)Length;
    public bool IsEmpty => Length == 0;

    public ReadOnlySpan<byte> Bytes => _buffer is null ? default : _buffer.Span[..Length];

    /// <summary>The group's bytes with a reference of their own, summed once for all who are sent them.</summary>
    public Payload Share() => new Payload(_buffer, 0, Length) { KnownCrc = _crc ??= Crc32C.Compute(Bytes) }.Retain();

    /// <summary>Whether a frame of this length goes in. An empty group takes a frame of any length.</summary>
    public bool HasRoom(uint frameLength) => IsEmpty || Length + frameLength <= _buffer!.Capacity;

    /// <summary>Adds a frame; the header's place, chain and payload checksum are set already. Returns the header's CRC.</summary>
    public uint Add(in FrameHeader header, ReadOnlySpan<byte> payload)
    {
        int length = (int)header.FrameLength;
        if (IsEmpty)
        {
            _buffer ??= SharedBuffer.Rent(Math.Max(ChunkLimits.TargetBatchBytes, length));
            if (_buffer.Capacity < length)
            {
                _buffer.Release();
                _buffer = SharedBuffer.Rent(length);
            }
            Start = header.Offset;
        }
        var target = _buffer!.Span.Slice(Length, length);
        uint crc = header.Write(target);
        payload.CopyTo(target[FrameHeader.Size..]);
        target[(FrameHeader.Size + payload.Length)..].Clear();
        Length += length;
        _crc = null;
        return crc;
    }

    /// <summary>Gives the group's own reference back. The group is empty then and can be used again.</summary>
    public void Clear()
    {
        _buffer?.Release();
        _buffer = null;
        _crc = null;
        Length = 0;
    }
}
