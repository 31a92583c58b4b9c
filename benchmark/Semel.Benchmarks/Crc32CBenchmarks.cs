using BenchmarkDotNet.Attributes;
using Semel.Protocol.Checksums;

namespace Semel.Benchmarks;

/// <summary>The checksum of everything, from a small record to more than the processor's cache holds.</summary>
public class Crc32CBenchmarks
{
    private byte[] _bytes = [];

    [Params(64, 100, 1024, 65536, 64 << 20)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _bytes = new byte[Bytes];
        new Random(1).NextBytes(_bytes);
    }

    [Benchmark]
    public uint Compute() => Crc32C.Compute(_bytes);
}
