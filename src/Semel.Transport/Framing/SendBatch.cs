using System.Buffers;
using System.Net.Sockets;
using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Messages;

namespace Semel.Transport.Framing;

/// <summary>
/// A frame that is to be sent. Made outside of any lock: it has the sizes and the payload's checksum already. Its header is a
/// message, or a text, or nothing. The payload's one reference goes to whoever takes the frame.
/// </summary>
internal readonly record struct OutgoingFrame(
    WireFrameType Type, MessageKind Kind, ulong CallId, uint TimeLeftMs, IMessage? Header, ReadOnlyMemory<byte> Text, int HeaderLength,
    Payload Payload, uint PayloadCrc)
{
    public int TotalLength => WireFramePrefix.Size + HeaderLength + Payload.Length;

    public static OutgoingFrame Message(WireFrameType type, MessageKind kind, ulong callId, uint timeLeftMs, IMessage header, Payload payload, uint payloadCrc) =>
        new(type, kind, callId, timeLeftMs, header, default, header.CalculateSize(), payload, payloadCrc);

    /// <summary>A frame whose header is a text for people, or nothing.</summary>
    public static OutgoingFrame Plain(WireFrameType type, ulong callId = 0, ReadOnlyMemory<byte> text = default) =>
        new(type, 0, callId, 0, null, text, text.Length, default, 0);
}

/// <summary>
/// Frames that are sent with as few system calls as possible: prefixes, headers and small payloads are copied one behind the
/// other into pooled memory, large payloads are sent from where they are. Not thread-safe; cleared and used again.
/// </summary>
internal sealed class SendBatch
{
    /// <summary>Up to here a copy is cheaper than one more segment in the gather list.</summary>
    public const int LargestCopiedPayload = 16 << 10;

    private const int StagingBytes = 64 << 10;

    /// <summary>Far below the 1024 that the kernel takes at once.</summary>
    private const int MaxSegmentsAtOnce = 64;

    private readonly List<ArraySegment<byte>> _segments = [];
    private readonly List<byte[]> _stagings = [];
    private readonly List<Payload> _payloads = [];
    private readonly List<ArraySegment<byte>> _gather = [];
    private byte[] _staging = [];
    private int _stagingStart;   // of the segment that is being filled
    private int _stagingEnd;

    /// <summary>Bytes of all frames in it.</summary>
    public int Bytes { get; private set; }

    public bool IsEmpty => Bytes == 0;

    /// <summary>What is to be sent, in order.</summary>
    public IList<ArraySegment<byte>> Segments
    {
        get
        {
            EndSegment();
            return _segments;
        }
    }

    /// <summary>Adds a frame and takes over its payload's reference. When it throws, the batch is as before and the reference is still the caller's.</summary>
    public void Append(in OutgoingFrame frame)
    {
        bool copies = frame.Payload.Length <= LargestCopiedPayload;
        int length = WireFramePrefix.Size + frame.HeaderLength + (copies ? frame.Payload.Length : 0);
        var room = Reserve(length);
        var header = room.Slice(WireFramePrefix.Size, frame.HeaderLength);
        if (frame.Header is null)
            frame.Text.Span.CopyTo(header);
        else
            frame.Header.WriteTo(header);
        new WireFramePrefix
        {
            Type = frame.Type,
            Kind = frame.Kind,
            CallId = frame.CallId,
            TimeLeftMs = frame.TimeLeftMs,
            HeaderLength = frame.HeaderLength,
            PayloadLength = frame.Payload.Length,
            PayloadCovered = true,
            BodyCrc = WireFramePrefix.CrcOfBody(frame.PayloadCrc, header),
        }.Write(room);
        if (copies)
        {
            frame.Payload.Span.CopyTo(room[(WireFramePrefix.Size + frame.HeaderLength)..]);
            frame.Payload.Release();
        }
        _stagingEnd += length;
        Bytes += frame.TotalLength;
        if (copies)
            return;
        EndSegment();
        var memory = frame.Payload.Memory;
        bool isArray = System.Runtime.InteropServices.MemoryMarshal.TryGetArray(memory, out var segment);
        Protocol.Invariant.Holds(isArray);
        _segments.Add(segment);
        _payloads.Add(frame.Payload);
    }

    /// <summary>Sends all of it. The batch must not be touched meanwhile.</summary>
    public async ValueTask SendAsync(Socket socket)
    {
        EndSegment();
        int index = 0;
        int offset = 0;   // in the segment at index: what the kernel took of it already
        while (index < _segments.Count)
        {
            int sent;
            if (index == _segments.Count - 1)
            {
                sent = await socket.SendAsync(_segments[index].AsMemory(offset), SocketFlags.None);
            }
            else
            {
                _gather.Clear();
                for (int i = index; i < _segments.Count && _gather.Count < MaxSegmentsAtOnce; i++)
                    _gather.Add(i == index ? _segments[i][offset..] : _segments[i]);
                sent = await socket.SendAsync(_gather, SocketFlags.None);
            }
            for (sent += offset; index < _segments.Count && sent >= _segments[index].Count; index++)
                sent -= _segments[index].Count;
            offset = sent;
        }
    }

    /// <summary>Forgets all frames and gives back their memory.</summary>
    public void Clear()
    {
        foreach (var payload in _payloads)
            payload.Release();
        foreach (byte[] staging in _stagings)
            ArrayPool<byte>.Shared.Return(staging);
        _payloads.Clear();
        _stagings.Clear();
        _segments.Clear();
        _gather.Clear();
        _staging = [];
        _stagingStart = _stagingEnd = 0;
        Bytes = 0;
    }

    private Span<byte> Reserve(int length)
    {
        if (_staging.Length - _stagingEnd < length)
        {
            EndSegment();
            _staging = ArrayPool<byte>.Shared.Rent(Math.Max(StagingBytes, length));
            _stagings.Add(_staging);
            _stagingStart = _stagingEnd = 0;
        }
        return _staging.AsSpan(_stagingEnd, length);
    }

    private void EndSegment()
    {
        if (_stagingEnd == _stagingStart)
            return;
        _segments.Add(new ArraySegment<byte>(_staging, _stagingStart, _stagingEnd - _stagingStart));
        _stagingStart = _stagingEnd;
    }
}
