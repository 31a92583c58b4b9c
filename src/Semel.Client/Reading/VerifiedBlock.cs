using System.Diagnostics.CodeAnalysis;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Client.Reading;

/// <summary>
/// Whole frames that a replica sent, checked in full (header, place, chain, payload, records), and the records in them one after the other. Owns the
/// bytes until it is released; the records that it gives out are copies.
/// </summary>
internal sealed class VerifiedBlock
{
    private const int SlabBytes = 64 << 10;

    private readonly Payload _frames;
    private readonly SourceFile _file;
    private readonly ulong _chunkIndex;
    private readonly uint _start;
    private FrameHeader _frame;
    private int _nextFrame;      // in the payload
    private int _nextRecord;     // in the payload
    private int _recordIndex;
    private byte[] _slab = [];
    private int _slabUsed;
    private bool _isReleased;

    private VerifiedBlock(Payload frames, SourceFile file, ulong chunkIndex, uint start, uint end, uint chain)
    {
        _frames = frames;
        _file = file;
        _chunkIndex = chunkIndex;
        _start = start;
        End = end;
        Chain = chain;
    }

    /// <summary>Where the next block begins in the chunk.</summary>
    public uint End { get; }

    /// <summary>What the next block's first frame must chain to.</summary>
    public uint Chain { get; }

    /// <summary>Takes the payload over when it verifies; otherwise it stays the caller's.</summary>
    public static bool TryTake(
        Payload frames, SourceFile file, ulong chunkIndex, uint offset, uint? chain, [NotNullWhen(true)] out VerifiedBlock? block, [NotNullWhen(false)] out string? fault)
    {
        block = null;
        var reader = new FrameReader(frames.Span, offset, chain);
        while (reader.Read())
        {
            if (reader.Header.Kind == FrameKind.Data && !RecordBatch.IsWellFormed(reader.Payload, reader.Header.RecordCount))
            {
                fault = $"at offset {reader.Header.Offset}: the payload is not {reader.Header.RecordCount} records";
                return false;
            }
        }
        fault = reader.Fault;
        if (fault is not null)
            return false;
        block = new VerifiedBlock(frames, file, chunkIndex, offset, reader.Offset, reader.Chain);
        return true;
    }

    /// <summary>Records in the block's first frame; of a frame that is not of data, and where no frame is, 0.</summary>
    public int RecordsInFirstFrame =>
        FrameHeader.TryRead(_frames.Span, out var first, out _) && first.Kind == FrameKind.Data ? first.RecordCount : 0;

    public bool TryNext(out SemelRecord record)
    {
        while (_recordIndex >= _frame.RecordCount)
        {
            if (_nextFrame >= _frames.Length)
            {
                record = default;
                return false;
            }
            FrameHeader.TryRead(_frames.Span[_nextFrame..], out _frame, out _);
            _nextRecord = _nextFrame + FrameHeader.Size;
            _nextFrame += (int)_frame.FrameLength;
            _recordIndex = _frame.Kind == FrameKind.Data ? 0 : _frame.RecordCount;
        }
        var rest = _frames.Span[_nextRecord..];
        RecordBatch.TryTake(ref rest, out var bytes);
        uint offsetInChunk = _start + (uint)_nextRecord;
        record = new SemelRecord
        {
            Position = new RecordPosition(_chunkIndex, _frame.Offset, _recordIndex, _file.FileId),
            OffsetInFile = (long)(_chunkIndex * _file.ChunkCapacity) + offsetInChunk,
            Data = Keep(bytes),
            WriterId = _frame.Writer.Value,
            Epoch = _frame.Epoch,
            Sequence = _frame.Writer == WriterId.Anonymous ? 0 : _frame.FirstSequence + (ulong)_recordIndex,
            Time = DateTimeOffset.FromUnixTimeMilliseconds(_frame.TimeMs),
        };
        _nextRecord += RecordBatch.Footprint(bytes.Length);
        _recordIndex++;
        return true;
    }

    public void Release()
    {
        if (_isReleased)
            return;
        _isReleased = true;
        _frames.Release();
    }

    /// <summary>Small neighbours share an array, of which one record that is held keeps no more than a slab.</summary>
    private ReadOnlyMemory<byte> Keep(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > SlabBytes / 4)
            return bytes.ToArray();
        if (bytes.Length > _slab.Length - _slabUsed)
        {
            _slab = GC.AllocateUninitializedArray<byte>(Math.Min(SlabBytes, _frames.Length - _nextRecord));
            _slabUsed = 0;
        }
        var kept = _slab.AsMemory(_slabUsed, bytes.Length);
        bytes.CopyTo(kept.Span);
        _slabUsed += bytes.Length;
        return kept;
    }
}
