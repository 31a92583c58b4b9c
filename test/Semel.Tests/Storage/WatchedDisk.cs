using Semel.Storage.Disks;

namespace Semel.Tests.Storage;

/// <summary>The real disk, with a hand on its flushes: they are recorded, and a test can hold them or make them fail.</summary>
internal sealed class WatchedDisk(string root) : IDisk
{
    private readonly RealDisk _inner = new(root);

    /// <summary>Called with the file's name before each flush of a file; the flush waits for it.</summary>
    public Func<string, Task> BeforeFlush { get; set; } = _ => Task.CompletedTask;

    /// <summary>Called with the file's name and the length of each write.</summary>
    public Action<string, int> BeforeWrite { get; set; } = (_, _) => { };

    /// <summary>Names of files and directories whose flush was completed, in order.</summary>
    public List<string> Flushed { get; } = [];

    public override string ToString() => _inner.ToString();
    public string BootId => _inner.BootId;
    public long CapacityBytes => _inner.CapacityBytes;
    public long FreeBytes => _inner.FreeBytes;
    public void CreateDirectory(string name) => _inner.CreateDirectory(name);
    public bool FileExists(string name) => _inner.FileExists(name);
    public IReadOnlyList<string> ListFiles(string directory) => _inner.ListFiles(directory);
    public IReadOnlyList<string> ListDirectories(string directory) => _inner.ListDirectories(directory);
    public void Rename(string from, string to) => _inner.Rename(from, to);
    public void Delete(string name) => _inner.Delete(name);
    public IDisposable Lock(string name) => _inner.Lock(name);
    public IDiskFile Open(string name, bool create) => new WatchedFile(this, name, _inner.Open(name, create));

    public async ValueTask FlushDirectoryAsync(string directory)
    {
        await _inner.FlushDirectoryAsync(directory);
        lock (Flushed)
            Flushed.Add(directory + "/");
    }

    private sealed class WatchedFile(WatchedDisk disk, string name, IDiskFile inner) : IDiskFile
    {
        public long Length => inner.Length;
        public int Read(long offset, Span<byte> target) => inner.Read(offset, target);
        public void SetLength(long length) => inner.SetLength(length);
        public void Reserve(long offset, long length) => inner.Reserve(offset, length);
        public void Dispose() => inner.Dispose();

        public void Write(long offset, ReadOnlySpan<byte> source)
        {
            disk.BeforeWrite(name, source.Length);
            inner.Write(offset, source);
        }

        public void LeaveMemory(long offset, long length) => inner.LeaveMemory(offset, length);

        public async ValueTask FlushAsync()
        {
            await disk.BeforeFlush(name);
            await inner.FlushAsync();
            lock (disk.Flushed)
                disk.Flushed.Add(name);
        }
    }
}
