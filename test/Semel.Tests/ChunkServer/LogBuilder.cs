using Semel.ChunkServer.Appending;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Tests.ChunkServer;

/// <summary>Makes the frames of a log as a primary would.</summary>
internal sealed class LogBuilder(ChunkHandle handle)
{
    private readonly List<byte> _bytes = [];
    private uint _chain = FrameHeader.ChainSeed(handle);

    public byte[] Bytes => [.. _bytes];
    public uint Tail => (uint)_bytes.Count;

    public LogBuilder Init(ulong writer, uint epoch, Ballot ballot) =>
        Add(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(writer), Epoch = epoch, Ballot = ballot }, []);

    public LogBuilder Data(ulong writer, uint epoch, ulong first, Ballot ballot, uint committed, params string[] records)
    {
        var payload = new byte[records.Sum(r => RecordBatch.Footprint(r.Length))];
        int at = 0;
        foreach (string record in records)
            at += RecordBatch.Write(payload.AsSpan(at), System.Text.Encoding.ASCII.GetBytes(record));
        return Add(new FrameHeader
        {
            Kind = FrameKind.Data,
            RecordCount = (ushort)records.Length,
            Writer = new WriterId(writer),
            Epoch = epoch,
            FirstSequence = first,
            Ballot = ballot,
            Committed = committed,
        }, payload);
    }

    public LogBuilder Seal(Ballot ballot)
    {
        var payload = new byte[SealSummary.Size];
        new SealSummary(Tail, 0, 0, 0, 0).Write(payload);
        return Add(new FrameHeader { Kind = FrameKind.Seal, Ballot = ballot }, payload);
    }

    private LogBuilder Add(FrameHeader header, byte[] payload)
    {
        header = header with { Offset = Tail, Chain = _chain, PayloadLength = (uint)payload.Length, PayloadCrc = Crc32C.Compute(payload), TimeMs = 1000 };
        var frame = new byte[header.FrameLength];
        _chain = header.Write(frame);
        payload.CopyTo(frame, FrameHeader.Size);
        _bytes.AddRange(frame);
        return this;
    }
}
