using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Simulation;

public sealed class DiskTests
{
    private readonly SimulatedWorld _world;
    private readonly SimulatedDisk _disk;
    private SimulatedProcess _process;
    private IDisk _view;

    public DiskTests() : this(1)
    {
    }

    private DiskTests(ulong seed)
    {
        _world = new SimulatedWorld(seed);
        _disk = new SimulatedDisk(_world, "d");
        _process = _world.StartProcess("p");
        _view = _disk.OpenFor(_process);
    }

    [Fact]
    public void What_was_written_survives_the_death_of_the_process()
    {
        var file = _view.Open("f", create: true);
        file.Write(3, [1, 2]);

        _process.Kill();
        Restart();

        Assert.Equal([0, 0, 0, 1, 2], Read("f"));
    }

    [Fact]
    public void A_dead_process_writes_nothing()
    {
        var file = _view.Open("f", create: true);
        file.Write(0, [1]);

        _process.Kill();
        file.Write(0, [2]);
        file.SetLength(0);
        _view.Delete("f");
        Restart();

        Assert.Equal([1], Read("f"));
    }

    [Fact]
    public void Unflushed_bytes_may_vanish_stay_or_tear_when_power_fails_and_flushed_ones_stay()
    {
        var seen = new SortedSet<string>(StringComparer.Ordinal);
        for (ulong seed = 0; seed < 200; seed++)
        {
            var test = new DiskTests(seed);
            var file = test.CreateDurable("f");
            file.Write(0, Bytes(1, 64));
            test.Flush(file);
            file.Write(64, Bytes(2, 64));

            test.PowerFail();
            byte[] left = test.Read("f");

            Assert.Equal(Bytes(1, 64), left[..64]);
            seen.Add(left.Length == 64 ? "gone" : left.AsSpan(64).SequenceEqual(Bytes(2, 64)) ? "kept" : "torn");
        }

        Assert.Equal(["gone", "kept", "torn"], seen);
    }

    [Fact]
    public void A_flush_covers_only_what_was_written_before_it_began()
    {
        bool lost = false;
        for (ulong seed = 0; seed < 50 && !lost; seed++)
        {
            var test = new DiskTests(seed);
            var file = test.CreateDurable("f");
            file.Write(0, [1]);
            bool flushed = false;
            test._process.Start(async () =>
            {
                await file.FlushAsync();
                flushed = true;
            });
            test._world.After(TimeSpan.FromMicroseconds(50), test._process, () => file.Write(1, [2]));
            Assert.True(test._world.RunUntil(() => flushed, TimeSpan.FromSeconds(1), "the flush"), test._world.Failure);

            test.PowerFail();
            byte[] left = test.Read("f");

            Assert.Equal(1, left[0]);
            lost |= left.Length == 1;
        }

        Assert.True(lost, "the later write was never lost");
    }

    [Fact]
    public void A_cut_that_was_not_flushed_may_be_undone_when_power_fails()
    {
        var lengths = new SortedSet<int>();
        for (ulong seed = 0; seed < 100; seed++)
        {
            var test = new DiskTests(seed);
            var file = test.CreateDurable("f");
            file.Write(0, Bytes(1, 100));
            test.Flush(file);
            file.SetLength(40);

            test.PowerFail();

            lengths.Add(test.Read("f").Length);
        }

        Assert.Equal([40, 100], lengths);
    }

    [Fact]
    public void A_name_is_durable_only_when_its_directory_was_flushed()
    {
        int lost = 0;
        for (ulong seed = 0; seed < 50; seed++)
        {
            var test = new DiskTests(seed);
            test.CreateDurable("kept");
            var file = test._view.Open("risky", create: true);
            file.Write(0, [1]);
            test.Flush(file);

            test.PowerFail();

            Assert.True(test._view.FileExists("kept"));
            lost += test._view.FileExists("risky") ? 0 : 1;
        }

        Assert.InRange(lost, 1, 49);
    }

    [Fact]
    public void A_rename_is_atomic_and_may_be_undone_when_power_fails()
    {
        var seen = new SortedSet<byte>();
        for (ulong seed = 0; seed < 50; seed++)
        {
            var test = new DiskTests(seed);
            var old = test.CreateDurable("f");
            old.Write(0, [1]);
            test.Flush(old);
            var fresh = test.CreateDurable("f.new");
            fresh.Write(0, [2]);
            test.Flush(fresh);
            test._view.Rename("f.new", "f");

            test.PowerFail();

            byte content = Assert.Single(test.Read("f"));
            Assert.Equal(content == 1, test._view.FileExists("f.new"));
            seen.Add(content);
        }

        Assert.Equal([1, 2], seen);
    }

    [Fact]
    public void A_full_disk_takes_what_was_reserved_and_nothing_else()
    {
        var file = _view.Open("f", create: true);
        file.Reserve(0, 100);
        _disk.Faults = new DiskFaults { Full = true };

        file.Write(0, Bytes(1, 100));

        Assert.Throws<DiskFullException>(() => file.Write(100, [1]));
        Assert.Equal(0, _view.FreeBytes);
    }

    [Fact]
    public void After_a_failed_flush_a_second_one_that_succeeds_means_nothing()
    {
        bool lost = false;
        for (ulong seed = 0; seed < 50 && !lost; seed++)
        {
            var test = new DiskTests(seed);
            var file = test.CreateDurable("f");
            file.Write(0, [1]);
            test._disk.FailFlush = _ => true;
            Assert.ThrowsAny<IOException>(() => test.Flush(file));
            test._disk.FailFlush = null;
            Assert.ThrowsAny<IOException>(() => test.Flush(file));      // the open file remembers
            test.Flush(test._view.Open("f", create: false));

            test.PowerFail();

            lost |= test.Read("f").Length == 0;
        }

        Assert.True(lost, "the bytes were always there");
    }

    [Fact]
    public void Rot_shows_in_what_is_read()
    {
        var file = _view.Open("f", create: true);
        file.Write(0, [1, 2, 3]);

        _disk.Corrupt("f", 1, 0x80);

        Assert.Equal([1, 0x82, 3], Read("f"));
    }

    [Fact]
    public void The_lock_ends_with_its_process_and_the_boot_id_with_the_power()
    {
        _view.Lock("LOCK");
        var second = _world.StartProcess("second");
        Assert.Throws<IOException>(() => _disk.OpenFor(second).Lock("LOCK"));
        string boot = _view.BootId;

        _process.Kill();
        _disk.OpenFor(second).Lock("LOCK").Dispose();
        Assert.Equal(boot, _view.BootId);
        second.Kill();
        _disk.LosePower();

        Assert.NotEqual(boot, _view.BootId);
    }

    private static byte[] Bytes(byte value, int count) => Enumerable.Repeat(value, count).ToArray();

    private IDiskFile CreateDurable(string name)
    {
        var file = _view.Open(name, create: true);
        Await(() => _view.FlushDirectoryAsync(""));
        return file;
    }

    private void Flush(IDiskFile file) => Await(file.FlushAsync);

    private void Await(Func<ValueTask> what)
    {
        Task? running = null;
        _world.After(TimeSpan.Zero, _process, () => running = what().AsTask());
        Assert.True(_world.RunUntil(() => running is { IsCompleted: true }, TimeSpan.FromSeconds(5), "the disk"), _world.Failure);
        running!.GetAwaiter().GetResult();
    }

    private void PowerFail()
    {
        _process.Kill();
        _disk.LosePower();
        Restart();
    }

    private void Restart()
    {
        _process = _world.StartProcess("p");
        _view = _disk.OpenFor(_process);
    }

    private byte[] Read(string name) => _disk.ReadAll(name);
}
