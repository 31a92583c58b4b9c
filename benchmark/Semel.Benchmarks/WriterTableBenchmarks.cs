using BenchmarkDotNet.Attributes;
using Semel.ChunkServer.Appending;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Benchmarks;

/// <summary>What each frame costs the table that makes appends exactly once, and what a roll-over does with the whole table.</summary>
[MemoryDiagnoser]
public class WriterTableBenchmarks
{
    private readonly WriterTable _table = new();
    private ulong[] _next = [];
    private byte[] _base = [];
    private uint _turn;

    [Params(1, 100, 10_000)]
    public int Writers { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _next = new ulong[Writers];
        for (int i = 0; i < Writers; i++)
        {
            _table.Apply(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId((ulong)i + 1), Epoch = 1 }, 0);
            _next[i] = 1;
        }
        for (int i = 0; i < Writers * WriterEntry.Window; i++)
            Apply();
        _base = _table.ToBase();
    }

    [Benchmark]
    public void Apply()
    {
        int writer = (int)(_turn++ % (uint)Writers);
        _table.Apply(new FrameHeader
        {
            Kind = FrameKind.Data,
            RecordCount = 1,
            Writer = new WriterId((ulong)writer + 1),
            Epoch = 1,
            FirstSequence = _next[writer]++,
            PayloadLength = 104,
        }, 0);
    }

    [Benchmark]
    public bool Find() => _table.TryGet(new WriterId(_turn++ % (uint)Writers + 1), out var entry) && entry.TryFind(entry.LastSequence, out _);

    [Benchmark]
    public int CarryOver() => _table.ToBase().Length;

    [Benchmark]
    public bool ReadBase() => WriterTable.TryRead(_base, out _, out _);
}
