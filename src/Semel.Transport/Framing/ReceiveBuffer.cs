using System.Diagnostics.CodeAnalysis;
using Semel.Protocol;
using Semel.Protocol.Buffers;

namespace Semel.Transport.Framing;

/// <summary>
/// Bytes from one connection, cut into frames. Small frames lie one behind the other in one pooled buffer and their payloads
/// share it; a frame that does not fit gets a buffer of its size, once its prefix has been checked. Owned by one reading loop.
/// </summary>
/// <param name="limits">What the prefixes are checked against.</param>
internal sealed class ReceiveBuffer(WireLimits limits)
{
    private const int UsualBytes = 64 << 10;

    /// <summary>Below this much room a new buffer is cheaper than many small receives.</summary>
    private const int LeastRoom = 16 << 10;

    private SharedBuffer? _buffer;
    private int _start;              // of the first frame that is not cut off yet
    private int _end;                // of what was received
    private bool _lent;              // a payload holds a reference to the buffer
    private WireFramePrefix _prefix; // of the first frame, once it was read
    private bool _hasPrefix;

    /// <summary>Bytes of a frame whose end has not come yet.</summary>
    public bool IsEmpty => _start == _end;

    /// <summary>Where to receive next; never empty.</summary>
    public Memory<byte> Room()
    {
        int pending = _end - _start;
        int needed = _hasPrefix ? _prefix.TotalLength : WireFramePrefix.Size;
        Invariant.Holds(pending < needed);
        if (pending == 0 && _buffer is { Capacity: > UsualBytes })
            Release();   // a large frame ends its buffer: small ones that follow must not hold it
        else if (pending == 0 && !_lent)
            _start = _end = 0;
        int capacity = _buffer?.Capacity ?? 0;
        if (_buffer is null || capacity - _start < needed || (needed <= UsualBytes && capacity - _end < LeastRoom))
            MoveToFreshBuffer(needed);
        // What follows a large frame must not have to be copied out of its buffer.
        return needed > UsualBytes ? _buffer.Memory[_end..(_start + needed)] : _buffer.Memory[_end..];
    }

    public void Received(int bytes) => _end += bytes;

    /// <summary>
    /// Whether a whole frame is here. Its prefix is checked, its body only by <see cref="TryCut"/>. When <paramref name="fault"/>
    /// is not null, what came is not a frame, and the connection is of no use any more.
    /// </summary>
    public bool HasFrame(out WireFramePrefix prefix, out string? fault)
    {
        prefix = _prefix;
        fault = null;
        int pending = _end - _start;
        if (!_hasPrefix)
        {
            if (pending < WireFramePrefix.Size)
                return false;
            if (!WireFramePrefix.TryRead(_buffer!.Span.Slice(_start, WireFramePrefix.Size), limits, out _prefix, out fault))
                return false;
            _hasPrefix = true;
            prefix = _prefix;
        }
        return pending >= _prefix.TotalLength;
    }

    /// <summary>
    /// Takes the frame off that <see cref="HasFrame"/> has found. Its header is valid until the next <see cref="Room"/>; its
    /// payload comes with one reference, the caller's.
    /// </summary>
    public bool TryCut(out ReadOnlySpan<byte> header, out Payload payload, [NotNullWhen(false)] out string? fault)
    {
        Invariant.Holds(_hasPrefix && _buffer is not null);
        var body = _buffer.Span.Slice(_start + WireFramePrefix.Size, _prefix.HeaderLength + _prefix.PayloadLength);
        header = body[.._prefix.HeaderLength];
        payload = default;
        fault = _prefix.CheckBody(header, body[_prefix.HeaderLength..], out uint? crc);
        if (fault is not null)
            return false;
        if (_prefix.PayloadLength > 0)
        {
            payload = new Payload(_buffer.Retain(), _start + WireFramePrefix.Size + _prefix.HeaderLength, _prefix.PayloadLength) { KnownCrc = crc };
            _lent = true;
        }
        _start += _prefix.TotalLength;
        _hasPrefix = false;
        return true;
    }

    /// <summary>Gives the buffer back. Payloads that were cut out of it stay valid.</summary>
    public void Release()
    {
        _buffer?.Release();
        _buffer = null;
        _start = _end = 0;
    }

    [MemberNotNull(nameof(_buffer))]
    private void MoveToFreshBuffer(int needed)
    {
        var fresh = SharedBuffer.Rent(Math.Max(needed, UsualBytes));
        if (_buffer is not null)
        {
            _buffer.Span[_start.._end].CopyTo(fresh.Span);
            _buffer.Release();
        }
        _buffer = fresh;
        _end -= _start;
        _start = 0;
        _lent = false;
    }
}
