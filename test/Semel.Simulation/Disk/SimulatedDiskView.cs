using Semel.Simulation.Kernel;
using Semel.Storage.Disks;

namespace Semel.Simulation.Disk;

/// <summary>A <see cref="SimulatedDisk"/> as one process sees it.</summary>
internal sealed class SimulatedDiskView(SimulatedDisk disk, SimulatedProcess process) : IDisk
{
    public string BootId => disk.BootId;
    public long CapacityBytes => disk.CapacityBytes;
    public long FreeBytes => disk.Faults.Full ? 0 : Math.Max(0, disk.CapacityBytes - disk.UsedBytes);

    public void CreateDirectory(string name)
    {
        if (process.MayAct())
            disk.MakeDirectory(name);
    }

    public bool FileExists(string name) => disk.Find(name) is not null;

    public IReadOnlyList<string> ListFiles(string directory) => disk.Directory(directory)?.Files.Keys.ToList() ?? [];

    public IReadOnlyList<string> ListDirectories(string directory) => disk.Directory(directory)?.Directories.Keys.ToList() ?? [];

    public IDiskFile Open(string name, bool create)
    {
        if (!create)
            return new File(disk, process, name, disk.Find(name) ?? throw NoFile(name));
        var (directory, leaf) = disk.Parent(name);
        if (directory.Files.ContainsKey(leaf))
            throw new IOException($"File {name} exists already.");
        if (disk.Faults.Full && disk.Faults.ReservationsFail)
            throw new DiskFullException($"No space left for {name}.");
        var file = disk.NewInode();
        if (process.MayAct())
            directory.SetFiles((leaf, file));
        return new File(disk, process, name, file);
    }

    public void Rename(string from, string to)
    {
        if (!process.MayAct())
            return;
        var (source, oldLeaf) = disk.Parent(from);
        var (target, newLeaf) = disk.Parent(to);
        if (target.Directories.ContainsKey(newLeaf))
            throw NoFile(to);
        if (source.Directories.ContainsKey(oldLeaf))
        {
            source.MoveDirectory(oldLeaf, target, newLeaf);
            return;
        }
        var file = source.Files.GetValueOrDefault(oldLeaf) ?? throw NoFile(from);
        if (source == target)
        {
            source.SetFiles((oldLeaf, null), (newLeaf, file));
        }
        else
        {
            target.SetFiles((newLeaf, file));
            source.SetFiles((oldLeaf, null));
        }
    }

    public void Delete(string name)
    {
        if (disk.Directory(name) is not null)
            throw NoFile(name);
        if (!process.MayAct() || disk.Find(name) is null)
            return;
        disk.Shortening?.Invoke(name, 0);
        var (directory, leaf) = disk.Parent(name);
        directory.SetFiles((leaf, null));
    }

    public async ValueTask FlushDirectoryAsync(string directory)
    {
        var entries = disk.Directory(directory) ?? throw new DirectoryNotFoundException($"There is no directory {directory}.");
        await disk.FlushAsync(process, directory + "/", entries.FlushMark, entries.Flushed, static (_, _) => { });
    }

    public IDisposable Lock(string name)
    {
        disk.Lock(name, process);
        return new Held(disk, process, name);
    }

    private IOException NoFile(string name) => disk.Directory(name) is null ? new FileNotFoundException($"There is no file {name}.", name)
        : new OddFileException($"{name} is a directory.");

    private sealed class Held(SimulatedDisk disk, SimulatedProcess process, string name) : IDisposable
    {
        public void Dispose() => disk.Unlock(name, process);
    }

    private sealed class File(SimulatedDisk disk, SimulatedProcess process, string name, SimulatedInode inode) : IDiskFile
    {
        private bool _disposed;
        private Task _lastFlush = Task.CompletedTask;

        public long Length => Live().Length;

        public int Read(long offset, Span<byte> target) => Live().Read(offset, target);

        public void Write(long offset, ReadOnlySpan<byte> source)
        {
            var file = Live();
            if (!process.MayAct())
                return;
            file.ChangedNs = disk.World.NowNs;
            if (disk.DrawWriteError())
            {
                file.Write(offset, source[..disk.DrawPart(source.Length)]);
                throw new IOException($"Write to {name} at {offset}: input/output error.");
            }
            try
            {
                disk.MakeRoom(file, offset + source.Length);
            }
            catch (DiskFullException)
            {
                long fits = Math.Clamp(file.Allocated - offset, 0, source.Length);
                file.Write(offset, source[..(int)fits]);
                throw;
            }
            file.Write(offset, source);
        }

        public void SetLength(long length)
        {
            var file = Live();
            if (!process.MayAct())
                return;
            if (length < file.Length)
                disk.Shortening?.Invoke(name, length);
            file.ChangedNs = disk.World.NowNs;
            file.SetLength(length);
        }

        public void Reserve(long offset, long length)
        {
            var file = Live();
            if (!process.MayAct())
                return;
            disk.MakeRoom(file, offset + length);
            file.Reserve(offset + length);
        }

        /// <summary>What is durable reads the same from the disk.</summary>
        public void LeaveMemory(long offset, long length)
        {
        }

        public ValueTask FlushAsync()
        {
            var file = Live();
            _lastFlush = FlushAfterAsync(_lastFlush, file, file.FlushMark());
            return new ValueTask(_lastFlush);
        }

        /// <summary>What is written while an earlier flush runs is not covered, although the kernel may be kinder.</summary>
        private async Task FlushAfterAsync(Task earlier, SimulatedInode file, long mark)
        {
            try
            {
                await earlier;
            }
            catch (IOException e)
            {
                throw new IOException($"An earlier flush of {name} failed.", e);
            }
            await disk.FlushAsync(process, name, () => mark, file.Flushed, file.FlushFailed);
        }

        public void Dispose() => _disposed = true;

        private SimulatedInode Live()
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return inode;
        }
    }
}
