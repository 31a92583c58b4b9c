using System.Text;
using Semel.Storage.Disks;

namespace Semel.Tests.Storage.Disks;

/// <summary>A disk with more files than may be open at a time.</summary>
public sealed class OpenFilesTests : IDisposable
{
    private const int Most = 5;

    private readonly TemporaryDirectory _directory = new();
    private readonly RealDisk _disk;

    public OpenFilesTests() => _disk = new RealDisk(_directory["data"], Most);

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Each_file_has_what_was_written_to_it_and_no_more_are_open_than_may_be(bool flushesEach)
    {
        var files = Enumerable.Range(0, 50).Select(i => _disk.Open($"{i}", create: true)).ToList();
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < files.Count; i++)
            {
                files[i].Write(4 * round, Bytes(i, round));
                if (flushesEach)
                    await files[i].FlushAsync();
                Assert.InRange(_disk.OpenFiles.Count, 1, Most);
                Assert.InRange(DescriptorsOf(_directory["data"]), 0, Most);
            }
        }

        var read = new byte[5];
        for (int i = 0; i < files.Count; i++)
        {
            for (int round = 0; round < 4; round++)
            {
                Assert.Equal(4, files[i].Read(4 * round, read.AsSpan(0, 4)));
                Assert.Equal(Bytes(i, round), read[..4]);
            }
            Assert.Equal(16, files[i].Length);
        }
        files.ForEach(f => f.Dispose());
        Assert.Equal((0, 0), (_disk.OpenFiles.Count, DescriptorsOf(_directory["data"])));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_bound_holds_when_all_files_are_in_use_again_and_again(bool writes)
    {
        const int most = 200;
        var disk = new RealDisk(_directory["busy"], most);
        var files = new List<IDiskFile>();
        for (int i = 0; i < 3 * most; i++)
        {
            files.Add(disk.Open($"{i}", create: true));
            // Whatever is open was used since somebody last looked for a place.
            foreach (var place in disk.OpenFiles.Places())
            {
                if (writes)
                    place.Value.Write(0, "x"u8);
                else
                    place.Value.Read(0, new byte[1]);
            }
            Assert.InRange(disk.OpenFiles.Count, 1, most);
        }
        files.ForEach(f => f.Dispose());
    }

    [Fact]
    public async Task A_file_with_writes_that_were_not_flushed_is_not_closed()
    {
        using var file = (RealDiskFile)_disk.Open("a", create: true);
        var place = Assert.Single(Places());

        file.TryClose(place);       // it was used when it was made: its second chance
        Assert.Equal(Closing.Closed, file.TryClose(place));
        _disk.OpenFiles.Leave(place);
        file.Write(0, "a"u8);
        place = Assert.Single(Places());
        Assert.Equal(Closing.InUse, file.TryClose(place));
        Assert.Equal(Closing.Unflushed, file.TryClose(place));
        await file.FlushAsync();
        file.Reserve(0, 1 << 20);
        Assert.Equal(Closing.InUse, file.TryClose(place));
        Assert.Equal(Closing.Closed, file.TryClose(place));
        _disk.OpenFiles.Leave(place);
        _ = file.Length;
        place = Assert.Single(Places());
        file.SetLength(7);
        file.TryClose(place);
        Assert.Equal(Closing.Unflushed, file.TryClose(place));
        await file.FlushAsync();
        file.TryClose(place);
        Assert.Equal(Closing.Closed, file.TryClose(place));
        Assert.Equal(7, file.Length);
    }

    [Fact]
    public void A_file_of_which_a_flush_has_failed_stays_open()
    {
        if (!OperatingSystem.IsLinux())
            return;
        // A file of a file system that cannot flush.
        var disk = new RealDisk("/proc/self", Most);
        using var file = (RealDiskFile)disk.Open("comm", create: false);
        var place = disk.OpenFiles.Places().Single();
        file.TryClose(place);

        file.FlushAndWait();
        file.TryClose(place);

        Assert.Equal(Closing.InUse, file.TryClose(place));
    }

    [Fact]
    public async Task Threads_that_use_the_same_few_files_all_the_time_see_each_others_writes()
    {
        const int Count = 24, Threads = 8, Rounds = 400;
        var files = Enumerable.Range(0, Count).Select(i => _disk.Open($"{i}", create: true)).ToArray();
        int most = 0;

        async Task UseAsync(int thread)
        {
            var random = new Random(thread);
            var read = new byte[4];
            for (int round = 0; round < Rounds; round++)
            {
                // Each thread has its own four bytes in every file.
                var file = files[random.Next(Count)];
                file.Write(4 * thread, Bytes(thread, round));
                if (random.Next(4) == 0)
                    await file.FlushAsync();
                int open = _disk.OpenFiles.Count;
                InterlockedMax(ref most, open);
                Assert.Equal(4, file.Read(4 * thread, read));
                Assert.Equal(Bytes(thread, round), read);
            }
        }

        await Task.WhenAll(Enumerable.Range(0, Threads).Select(t => Task.Run(() => UseAsync(t))));

        // One more for each thread of the test, and for each that flushes.
        Assert.InRange(most, Most, Most + Threads + 16);
        foreach (var file in files)
            file.Dispose();
        Assert.Equal((0, 0), (_disk.OpenFiles.Count, DescriptorsOf(_directory["data"])));
    }

    [Fact]
    public void What_was_disposed_or_deleted_is_not_opened_again()
    {
        var disposed = _disk.Open("a", create: true);
        var deleted = _disk.Open("b", create: true);
        for (int i = 0; i < 2 * Most; i++)
            _disk.Open($"{i}", create: true).Length.Equals(0);

        disposed.Dispose();
        _disk.Delete("b");

        Assert.Throws<ObjectDisposedException>(() => disposed.Length);
        Assert.Contains("data/b", Assert.ThrowsAny<IOException>(() => deleted.Length).Message, StringComparison.Ordinal);
        Assert.InRange(_disk.OpenFiles.Count, 1, Most);
    }

    private IEnumerable<LinkedListNode<RealDiskFile>> Places() => _disk.OpenFiles.Places();

    private static byte[] Bytes(int one, int other) => Encoding.ASCII.GetBytes($"{one % 100:00}{other % 100:00}");

    private static int DescriptorsOf(string directory) => !OperatingSystem.IsLinux() ? 0 :
        new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().Count(f => f.LinkTarget?.StartsWith(directory + "/", StringComparison.Ordinal) == true);

    private static void InterlockedMax(ref int most, int value)
    {
        int seen;
        while ((seen = Volatile.Read(ref most)) < value && Interlocked.CompareExchange(ref most, value, seen) != seen)
        {
        }
    }
}
