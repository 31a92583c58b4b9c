using System.Buffers.Binary;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Cli.Verification;

/// <summary>
/// What the frames of a file amount to, folded apart from the servers' own writer table, so that the two can be compared: at each SEAL, and with the base
/// that each chunk carries. Holds two numbers per writer, however long the file is.
/// </summary>
internal sealed class FileFold(Action<Finding> report)
{
    private const uint BaseMagic = 0x32414253;      // "SBA2"
    private const int BaseHeaderBytes = 40;
    private const int BaseWriterBytes = 32;
    private const int BasePlaceBytes = 40;
    private const int SealBytes = 32;

    private readonly Dictionary<ulong, (uint Epoch, ulong Last)> _writers = [];
    private ulong _recordBytes;
    private readonly List<(ulong Writer, uint Epoch)> _introduced = [];
    private ulong _highestEvicted;
    private Ballot _ballot;
    private bool _sealed;

    public long Records { get; private set; }
    public long Duplicates { get; private set; }
    public long Gaps { get; private set; }

    /// <summary>CRC32C of the base that the next chunk must start from: what the last SEAL says; 0 before the first one.</summary>
    public uint NextBaseDigest { get; private set; }

    public void BeginChunk() => (_sealed, _ballot) = (false, default);

    /// <summary>Writers that have begun an epoch since the last call, as the frames have them.</summary>
    public List<(ulong Writer, uint Epoch)> TakeIntroduced()
    {
        List<(ulong, uint)> taken = [.. _introduced];
        _introduced.Clear();
        return taken;
    }

    public void Add(ulong chunk, in FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        if (_sealed)
            Contradiction(chunk, frame, "it follows the chunk's SEAL");
        if (frame.Ballot < _ballot)
            Contradiction(chunk, frame, $"its ballot {frame.Ballot} comes after {_ballot}");
        if (frame.Committed > frame.Offset)
            Contradiction(chunk, frame, $"it says that {frame.Committed} bytes before it are committed");
        _ballot = frame.Ballot;
        switch (frame.Kind)
        {
            case FrameKind.Data:
                Records += frame.RecordCount;
                _recordBytes += frame.PayloadLength - ((ulong)frame.RecordCount * RecordBatch.LengthPrefix);
                if (frame.Writer != WriterId.Anonymous)
                    Take(chunk, frame);
                break;
            case FrameKind.InitWriter:
                var before = _writers.GetValueOrDefault(frame.Writer.Value);
                if (before.Epoch == 0 && frame.Writer.Value <= _highestEvicted)
                    Contradiction(chunk, frame, $"writer {frame.Writer} begins although {_highestEvicted} was forgotten before: its sequences may have been used");
                if (frame.Epoch <= before.Epoch)
                    Contradiction(chunk, frame, $"epoch {frame.Epoch} of writer {frame.Writer} comes after epoch {before.Epoch}");
                _writers[frame.Writer.Value] = (Math.Max(before.Epoch, frame.Epoch), before.Last);
                _introduced.Add((frame.Writer.Value, frame.Epoch));
                break;
            case FrameKind.EvictWriter:
                _writers.Remove(frame.Writer.Value);
                _highestEvicted = Math.Max(_highestEvicted, frame.Writer.Value);
                break;
            case FrameKind.Seal:
                Seal(chunk, frame, payload);
                break;
        }
    }

    /// <summary>Compares the base that a chunk carries with the fold of the chunks before it. Null: they agree.</summary>
    public string? FaultOfBase(ReadOnlySpan<byte> bytes)
    {
        uint digest = Crc32C.Compute(bytes);
        if (digest != NextBaseDigest)
            return $"the base has digest {digest:x8}, the SEAL before it says {NextBaseDigest:x8}";
        if (bytes.IsEmpty && _writers.Count == 0 && Records == 0 && _highestEvicted == 0)
            return null;
        if (bytes.Length < BaseHeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != BaseMagic)
            return $"the base is {bytes.Length} bytes that are no writer table";
        uint writers = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        ulong records = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        ulong evicted = BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]);
        if ((writers, records, evicted) != ((uint)_writers.Count, (ulong)Records, _highestEvicted))
        {
            return $"the base says {writers} writers, {records} records and {evicted} as the highest writer that was forgotten; "
                + $"the chunks before it have {_writers.Count}, {Records} and {_highestEvicted}";
        }
        int at = BaseHeaderBytes;
        for (uint i = 0; i < writers; i++)
        {
            if (bytes.Length - at < BaseWriterBytes)
                return "the base ends in the middle of a writer";
            ulong id = BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
            ulong last = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(at + 8)..]);
            uint epoch = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(at + 24)..]);
            if (_writers.GetValueOrDefault(id) != (epoch, last))
                return $"the base says that writer {id} is at sequence {last} of epoch {epoch}, the chunks before it say {_writers.GetValueOrDefault(id)}";
            at += BaseWriterBytes + (BasePlaceBytes * (int)BinaryPrimitives.ReadUInt32LittleEndian(bytes[(at + 28)..]));
        }
        return null;
    }

    private void Take(ulong chunk, in FrameHeader frame)
    {
        var (epoch, last) = _writers.GetValueOrDefault(frame.Writer.Value);
        if (frame.Epoch != epoch)
            Contradiction(chunk, frame, $"a record of epoch {frame.Epoch} of writer {frame.Writer}, whose epoch is {epoch}");
        if (frame.FirstSequence <= last)
        {
            Duplicates += (long)(Math.Min(last, frame.LastSequence) - frame.FirstSequence + 1);
            report(new Finding(FindingKind.Duplicate, $"chunk {chunk}, offset {frame.Offset}: record {frame.FirstSequence} of writer {frame.Writer} is there again, after {last}"));
        }
        else if (frame.FirstSequence > last + 1)
        {
            Gaps += (long)(frame.FirstSequence - last - 1);
            report(new Finding(FindingKind.Gap, $"chunk {chunk}, offset {frame.Offset}: record {frame.FirstSequence} of writer {frame.Writer} follows {last}"));
        }
        _writers[frame.Writer.Value] = (Math.Max(epoch, frame.Epoch), Math.Max(last, frame.LastSequence));
    }

    private void Seal(ulong chunk, in FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        _sealed = true;
        if (payload.Length < SealBytes)
        {
            Contradiction(chunk, frame, $"a SEAL of {payload.Length} bytes");
            return;
        }
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        NextBaseDigest = BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]);
        ulong records = BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]);
        ulong bytes = BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]);
        uint writers = BinaryPrimitives.ReadUInt32LittleEndian(payload[24..]);
        if ((length, records, bytes, writers) != (frame.Offset, (ulong)Records, _recordBytes, (uint)_writers.Count))
        {
            Contradiction(chunk, frame, $"the SEAL sums up {records} records of {bytes} bytes by {writers} writers before offset {length}; "
                + $"there are {Records} of {_recordBytes} bytes by {_writers.Count} writers");
        }
    }

    private void Contradiction(ulong chunk, in FrameHeader frame, string what) =>
        report(new Finding(FindingKind.Corrupt, $"chunk {chunk}, offset {frame.Offset}: {what}"));
}
