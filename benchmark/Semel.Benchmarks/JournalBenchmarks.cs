using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Storage.Disks;
using Semel.Storage.Journals;

namespace Semel.Benchmarks;

/// <summary>Entries of the master's log until they are durable: one flush for one, and one for many.</summary>
[MemoryDiagnoser]
public class JournalBenchmarks
{
    private readonly byte[] _entry = new byte[200];
    private string _directory = "";
    private Journal? _journal;

    [Params(1, 100)]
    public int EntriesAtOnce { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _directory = Directory.CreateTempSubdirectory("semel-journal-").FullName;
        _journal = Journal.OpenAsync(new RealDisk(_directory), "log", new JournalOptions(), (_, _) => { }, TimeProvider.System, NullLogger.Instance).AsTask().GetAwaiter().GetResult();
    }

    [Benchmark]
    public async Task AppendDurably()
    {
        ulong last = 0;
        for (int i = 0; i < EntriesAtOnce; i++)
            last = _journal!.Append(_entry);
        await _journal!.WaitDurableAsync(last);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        _journal!.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Directory.Delete(_directory, recursive: true);
    }
}
