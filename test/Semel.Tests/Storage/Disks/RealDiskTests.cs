using Semel.Storage.Disks;
using Xunit;

namespace Semel.Tests.Storage.Disks;

public sealed class RealDiskTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly RealDisk _disk;

    public RealDiskTests() => _disk = new RealDisk(_directory["data"]);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void What_was_written_is_read_back_from_any_handle()
    {
        using var file = _disk.Open("a", create: true);
        file.Write(3, "abc"u8);
        file.Write(0, "xyz"u8);

        using var again = _disk.Open("a", create: false);
        var target = new byte[10];

        Assert.Equal(6, again.Read(0, target));
        Assert.Equal("xyzabc"u8.ToArray(), target[..6]);
        Assert.Equal(2, again.Read(4, target));
        Assert.Equal(0, again.Read(6, target));
        Assert.Equal(0, again.Read(100, target));
        Assert.Equal(6, again.Length);
    }

    /// <summary>Long writes take another way to the disk than short ones; where the file system does not know it, the ordinary one.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Long_and_short_writes_at_any_place_make_one_file(bool inMemory)
    {
        const string memory = "/dev/shm";
        string? root = !inMemory ? _directory["long"] : Directory.Exists(memory) ? Path.Join(memory, $"semel-test-{Guid.NewGuid():n}") : null;
        Assert.SkipWhen(root is null, $"There is no {memory} here.");
        try
        {
            var random = new Random(7);
            var disk = new RealDisk(root!);
            using var file = disk.Open("a", create: true);
            var expected = new List<byte>();
            foreach (int length in (int[])[10, 65_536, 65_535, 300_001, 1, 1 << 20, 4_096, 70_000, 4_095, 65_537, 131_072])
            {
                var bytes = new byte[length];
                random.NextBytes(bytes);
                file.Write(expected.Count, bytes);
                expected.AddRange(bytes);
            }
            await file.FlushAsync();

            using var again = disk.Open("a", create: false);
            var read = new byte[expected.Count + 1];
            Assert.Equal(expected.Count, again.Read(0, read));
            Assert.Equal(expected, read[..^1]);
        }
        finally
        {
            if (Directory.Exists(root))
                Directory.Delete(root, recursive: true);
        }
    }

    [Fact]
    public void Creating_a_file_that_exists_is_refused()
    {
        _disk.Open("a", create: true).Dispose();

        Assert.ThrowsAny<IOException>(() => _disk.Open("a", create: true));
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("missing/too")]
    public void Opening_a_file_that_does_not_exist_says_so(string name)
    {
        Assert.Throws<FileNotFoundException>(() => _disk.Open(name, create: false));
        Assert.False(_disk.FileExists(name));
    }

    [Fact]
    public void Directories_and_their_parents_belong_to_the_owner_alone()
    {
        _disk.CreateDirectory("chunks/0a");
        _disk.CreateDirectory("chunks/0a");

        if (OperatingSystem.IsWindows())
            return;
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Assert.Equal(ownerOnly, File.GetUnixFileMode(_directory["data"]));
        Assert.Equal(ownerOnly, File.GetUnixFileMode(_directory["data/chunks"]));
        Assert.Equal(ownerOnly, File.GetUnixFileMode(_directory["data/chunks/0a"]));
    }

    [Fact]
    public void Listings_are_in_ordinal_order_and_empty_where_there_is_nothing()
    {
        foreach (string name in new[] { "b", "B", "a10", "a9" })
            _disk.Open(name, create: true).Dispose();
        _disk.CreateDirectory("z");
        _disk.CreateDirectory("y");

        Assert.Equal(["B", "a10", "a9", "b"], _disk.ListFiles(""));
        Assert.Equal(["y", "z"], _disk.ListDirectories(""));
        Assert.Empty(_disk.ListFiles("nowhere"));
        Assert.Empty(_disk.ListDirectories("nowhere"));
    }

    [Fact]
    public void A_rename_replaces_its_target()
    {
        Write("new", "new"u8);
        Write("old", "old"u8);

        _disk.Rename("new", "old");

        Assert.False(_disk.FileExists("new"));
        Assert.Equal("new", File.ReadAllText(_directory["data/old"]));
    }

    [Fact]
    public void Deleting_what_is_not_there_is_no_error_and_open_handles_keep_working()
    {
        Write("a", "abc"u8);
        using var file = _disk.Open("a", create: false);

        _disk.Delete("a");
        _disk.Delete("a");
        _disk.Delete("nowhere/a");

        Assert.Equal(3, file.Read(0, new byte[3]));
    }

    [Fact]
    public void A_reservation_leaves_the_length_and_cutting_gives_zeros_back()
    {
        using var file = _disk.Open("a", create: true);

        file.Reserve(0, 1 << 20);
        Assert.Equal(0, file.Length);

        file.Write(0, "abcdef"u8);
        file.SetLength(2);
        file.SetLength(4);
        var target = new byte[8];
        Assert.Equal(4, file.Read(0, target));
        Assert.Equal("ab\0\0"u8.ToArray(), target[..4]);
    }

    [Fact]
    public void A_full_device_is_told_apart_from_other_failures()
    {
        if (!OperatingSystem.IsLinux())
            return;
        // The device that is always full.
        using var full = File.OpenHandle("/dev/full", FileMode.Open, FileAccess.Write);

        var failure = Assert.Throws<IOException>(() => RandomAccess.Write(full, "x"u8, 0));

        var translated = Assert.IsType<DiskFullException>(DiskErrors.Translate(failure, "/dev/full"));
        Assert.Contains("/dev/full", translated.Message, StringComparison.Ordinal);
        Assert.IsType<DiskFullException>(DiskErrors.Of(28, "ENOSPC"));
        Assert.IsType<DiskFullException>(DiskErrors.Of(122, "EDQUOT"));
        Assert.IsNotType<DiskFullException>(DiskErrors.Of(5, "EIO"));
    }

    [Theory]
    [InlineData(OddThing.Directory)]
    [InlineData(OddThing.Pipe)]
    [InlineData(OddThing.Socket)]
    [InlineData(OddThing.LinkToItself)]
    public void What_is_no_file_is_named_and_nobody_waits_for_it(OddThing thing)
    {
        if (!OperatingSystem.IsLinux())
            return;
        OddThings.Make(thing, Path.Combine($"{_disk}", "a"));

        var failure = Assert.Throws<OddFileException>(() => _disk.Open("a", create: false));

        Assert.Contains(Path.Combine($"{_disk}", "a"), failure.Message, StringComparison.Ordinal);
        Assert.Equal(DiskTrouble.Gone, DiskTroubles.Of(failure));
    }

    [Theory]
    [InlineData(OddThing.Directory)]
    [InlineData(OddThing.Pipe)]
    [InlineData(OddThing.Socket)]
    [InlineData(OddThing.LinkToItself)]
    public void What_is_no_file_can_be_moved_away(OddThing thing)
    {
        if (!OperatingSystem.IsLinux())
            return;
        OddThings.Make(thing, Path.Combine($"{_disk}", "a"));
        _disk.CreateDirectory("aside");

        _disk.Rename("a", "aside/a");

        using var file = _disk.Open("a", create: true);
        Assert.Single(_disk.ListFiles("aside").Concat(_disk.ListDirectories("aside")));
    }

    [Fact]
    public void A_directory_in_the_place_of_a_file_is_no_lack_of_permission()
    {
        _disk.CreateDirectory("a");
        using (_disk.Open("b", create: true))
        {
        }

        Assert.Contains("is a directory", Assert.Throws<OddFileException>(() => _disk.Delete("a")).Message, StringComparison.Ordinal);
        Assert.Throws<OddFileException>(() => _disk.Rename("b", "a"));
    }

    [Fact]
    public async Task Flushes_complete_and_their_continuations_never_run_on_the_flush_thread()
    {
        using var file = _disk.Open("a", create: true);
        for (int i = 0; i < 50; i++)
        {
            file.Write(i, "x"u8);
            var flush = file.FlushAsync();

            await flush;

            Assert.NotEqual("disk flush", Thread.CurrentThread.Name);
        }
        await _disk.FlushDirectoryAsync("");
    }

    [Fact]
    public async Task Many_flushes_of_many_files_at_once_all_complete()
    {
        var files = Enumerable.Range(0, 20).Select(i => _disk.Open($"f{i}", create: true)).ToList();

        await Task.WhenAll(Enumerable.Range(0, 400).Select(async i =>
        {
            files[i % 20].Write(i, "y"u8);
            await files[i % 20].FlushAsync();
        }));

        files.ForEach(f => f.Dispose());
    }

    [Fact]
    public async Task A_flush_of_a_closed_file_fails_and_does_not_hang()
    {
        var file = _disk.Open("a", create: true);
        file.Dispose();

        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await file.FlushAsync());
    }

    [Fact]
    public void The_lock_is_exclusive_until_it_is_disposed_and_the_refusal_says_what_to_do()
    {
        var held = _disk.Lock("LOCK");
        var other = new RealDisk(_directory["data"]);

        var refusal = Assert.ThrowsAny<IOException>(() => other.Lock("LOCK"));
        Assert.Contains(_directory["data"], refusal.Message, StringComparison.Ordinal);
        Assert.Contains("in use by another process", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("directory of its own", refusal.Message, StringComparison.Ordinal);

        held.Dispose();
        other.Lock("LOCK").Dispose();
    }

    [Fact]
    public void A_root_that_is_a_file_is_refused()
    {
        File.WriteAllText(_directory["file"], "");

        var refusal = Assert.Throws<IOException>(() => new RealDisk(_directory["file"]));

        Assert.Contains("is a file", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Space_and_boot_are_reported()
    {
        Assert.InRange(_disk.FreeBytes, 1, _disk.CapacityBytes);
        Assert.NotEmpty(_disk.BootId);
        Assert.Equal(_disk.BootId, new RealDisk(_directory["data"]).BootId);
    }

    private void Write(string name, ReadOnlySpan<byte> content)
    {
        using var file = _disk.Open(name, create: true);
        file.Write(0, content);
    }
}
