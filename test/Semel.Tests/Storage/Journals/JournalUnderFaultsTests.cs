using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Storage.Journals;
using Xunit;

namespace Semel.Tests.Storage.Journals;

/// <summary>Process after process appends to one journal on a simulated disk; each is killed at some moment, and often the power fails too.</summary>
public sealed class JournalUnderFaultsTests
{
    [Fact]
    public void What_was_acknowledged_is_there_after_any_crash_and_what_is_there_was_appended()
    {
        for (ulong seed = 1; seed <= 150; seed++)
            new Run(seed, flushErrors: false).Execute();
    }

    [Fact]
    public void The_same_holds_when_flushes_fail_and_the_page_cache_shows_what_the_disk_does_not_have()
    {
        for (ulong seed = 1; seed <= 150; seed++)
            new Run(seed, flushErrors: true).Execute();
    }

    [Fact]
    public void The_same_seed_gives_the_same_run()
    {
        Assert.Equal(new Run(7, flushErrors: true).Execute(), new Run(7, flushErrors: true).Execute());
    }

    private sealed class Run
    {
        private readonly ulong _seed;
        private readonly Random _random;
        private readonly SimulatedWorld _world;
        private readonly SimulatedDisk _disk;
        private readonly JournalOptions _options;

        private readonly SortedDictionary<ulong, string> _entries = [];   // what each number was last given to
        private ulong _next = 1;
        private ulong _acknowledged;
        private ulong _deletedBelow = 1;
        private bool _deleting;
        private int _unique;

        public Run(ulong seed, bool flushErrors)
        {
            _seed = seed;
            _random = new Random((int)seed);
            _world = new SimulatedWorld(seed);
            _disk = new SimulatedDisk(_world, "d") { Faults = new DiskFaults { FlushError = flushErrors ? 0.05 : 0, WriteError = flushErrors ? 0.02 : 0 } };
            _options = new JournalOptions
            {
                SegmentBytes = _random.Next(200, 4000),
                FillAheadBytes = _random.Next(3) * 300,
                WitnessWhenIdleFor = TimeSpan.FromMicroseconds(_random.Next(50, 2000)),
                WitnessInterval = TimeSpan.FromMicroseconds(_random.Next(200, 5000)),
            };
        }

        public ulong Execute()
        {
            for (int life = 0; life < 12; life++)
            {
                var process = _world.StartProcess($"p{life}");
                bool ended = false;
                process.Start(async () =>
                {
                    await LiveAsync(process);
                    ended = true;
                });
                _world.After(TimeSpan.FromMicroseconds(_random.Next(1, life % 3 == 0 ? 1_000 : 20_000)), () => ended = true);
                Check(_world.RunUntil(() => ended, TimeSpan.FromMinutes(1), "the end of a life"));
                process.Kill();
                if (_random.Next(2) == 0)
                    _disk.LosePower();
            }

            // The last life: a good disk, and time to the end.
            _disk.Faults = DiskFaults.None;
            Check(!IsRefused(), "a good journal is refused");
            RotTheEnd();
            return _world.TraceHash;
        }

        /// <summary>After a clean stop no bit of the last entries may go wrong without a word.</summary>
        private void RotTheEnd()
        {
            string last = _disk.AllFiles().Where(name => name.EndsWith(".log", StringComparison.Ordinal)).Max(StringComparer.Ordinal)!;
            int length = _disk.ReadAll(last).AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
            if (length <= SegmentHeader.Size)
                return;
            _disk.Corrupt(last, _random.Next(SegmentHeader.Size, length), (byte)(1 << _random.Next(8)));
            Check(IsRefused(), $"a flipped bit in {last} is believed");
        }

        private bool IsRefused()
        {
            var process = _world.StartProcess("last");
            bool? refused = null;
            process.Start(async () =>
            {
                try
                {
                    await (await OpenAsync(process)).DisposeAsync();
                    refused = false;
                }
                catch (JournalCorruptException)
                {
                    refused = true;
                }
            });
            Check(_world.RunUntil(() => refused is not null, TimeSpan.FromMinutes(1), "the last opening"));
            process.Kill();
            return refused == true;
        }

        private async Task LiveAsync(SimulatedProcess process)
        {
            try
            {
                var journal = await OpenAsync(process);
                await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => AppendAsync(journal, process)));
            }
            catch (IOException e) when (e is not JournalCorruptException)
            {
                // The disk failed: the process ends, and the next one opens the journal again.
            }
        }

        private async Task<Journal> OpenAsync(SimulatedProcess process)
        {
            ulong first = 0;
            ulong next = 0;
            var journal = await Journal.OpenAsync(_disk.OpenFor(process), "log", _options, (number, bytes) =>
            {
                first = first == 0 ? number : first;
                Check(next == 0 || number == next, $"entry {number} came where {next} was due");
                Check(_entries.GetValueOrDefault(number) == Encoding.ASCII.GetString(bytes.Span), $"entry {number} is not what was appended");
                next = number + 1;
            }, process.Time, NullLogger.Instance);
            Check(journal.NextEntry > _acknowledged, $"entry {_acknowledged} was acknowledged, the next is {journal.NextEntry}");
            Check(journal.FirstEntry <= Math.Max(_deletedBelow, 1), $"the journal begins with {journal.FirstEntry}, deleted was below {_deletedBelow}");
            Check(first == 0 || first == journal.FirstEntry, $"replay began with {first}, the journal begins with {journal.FirstEntry}");
            _deleting = false;
            // Whoever opened it has seen these: they must not go away again.
            _next = journal.NextEntry;
            _acknowledged = journal.DurableEntry;
            Check(_acknowledged == _next - 1);
            return journal;
        }

        private async Task AppendAsync(Journal journal, SimulatedProcess process)
        {
            while (true)
            {
                ulong number = 0;
                for (int i = _random.Next(1, 4); i > 0; i--)
                {
                    string text = (++_unique).ToString(CultureInfo.InvariantCulture) + new string('.', _random.Next(3) * _random.Next(100));
                    number = journal.Append(Encoding.ASCII.GetBytes(text));
                    Check(number == _next, $"append gave {number}, {_next} was due");
                    _next++;
                    _entries[number] = text;
                }
                if (_random.Next(2) == 0)
                    await Task.Delay(TimeSpan.FromMicroseconds(_random.Next(2000)), process.Time);
                await journal.WaitDurableAsync(number);
                _acknowledged = Math.Max(_acknowledged, number);
                if (!_deleting && _random.Next(20) == 0)
                {
                    _deleting = true;
                    _deletedBelow = Math.Max(_deletedBelow, number);
                    await journal.DeleteSegmentsBelowAsync(number);
                    _deleting = false;
                }
            }
        }

        private void Check(bool holds, string? what = null) => Assert.True(holds, $"seed {_seed}: {what ?? _world.Failure}");
    }
}
