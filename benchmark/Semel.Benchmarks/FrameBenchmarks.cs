using BenchmarkDotNet.Attributes;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Benchmarks;

/// <summary>A frame on its way into a group, and out of one with all its checks.</summary>
[MemoryDiagnoser]
public class FrameBenchmarks
{
    private byte[] _payload = [];
    private byte[] _frame = [];
    private FrameHeader _header;

    [Params(100, 1024, 65536)]
    public int PayloadBytes { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _payload = new byte[PayloadBytes];
        new Random(1).NextBytes(_payload);
        _header = new FrameHeader
        {
            Kind = FrameKind.Data,
            RecordCount = 1,
            Writer = new WriterId(1),
            Epoch = 1,
            FirstSequence = 1,
            PayloadLength = (uint)PayloadBytes,
            PayloadCrc = Crc32C.Compute(_payload),
            Ballot = Ballot.OfVersion(1),
            Chain = FrameHeader.ChainSeed(new ChunkHandle(1)),
        };
        _frame = new byte[_header.FrameLength];
        Encode();
    }

    [Benchmark]
    public uint Encode()
    {
        uint crc = _header.Write(_frame);
        _payload.CopyTo(_frame, FrameHeader.Size);
        return crc;
    }

    [Benchmark]
    public uint Decode()
    {
        var reader = new FrameReader(_frame, 0, FrameHeader.ChainSeed(new ChunkHandle(1)));
        return reader.Read() ? reader.Chain : throw new InvalidOperationException(reader.Fault);
    }
}
