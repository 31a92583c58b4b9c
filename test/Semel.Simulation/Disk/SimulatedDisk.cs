using System.Globalization;
using Semel.Simulation.Kernel;
using Semel.Storage.Disks;

namespace Semel.Simulation.Disk;

/// <summary>
/// A machine's disk, as mean as a kernel may be: kill -9 of a process loses nothing, a loss of power loses, keeps or tears each
/// change that no flush covered; a flush covers what was written before it was called and nothing else; names need a flush of
/// their directory.
/// </summary>
internal sealed class SimulatedDisk
{
    private SimulatedDirectory _root = new();
    private readonly SimulatedRandom _random;
    private readonly string _name;
    private readonly SortedDictionary<string, SimulatedProcess> _locks = new(StringComparer.Ordinal);
    private int _inodes;
    private int _boots = 1;

    public SimulatedDisk(SimulatedWorld world, string name)
    {
        World = world;
        _name = name;
        _random = world.Random.Fork();
    }

    public SimulatedWorld World { get; }
    public DiskFaults Faults { get; set; } = DiskFaults.None;
    public long CapacityBytes { get; set; } = 1L << 40;
    public long UsedBytes => _root.AllFiles().Sum(file => file.Allocated);
    public string BootId => string.Create(CultureInfo.InvariantCulture, $"{_name}-boot-{_boots}");
    public long Flushes { get; private set; }
    public long FailedFlushes { get; private set; }

    /// <summary>Looks at each flush (the file's name) before it begins; true: it fails.</summary>
    public Func<string, bool>? FailFlush { get; set; }

    /// <summary>The disk as a process sees it. After the process's death nothing it does has an effect.</summary>
    public IDisk OpenFor(SimulatedProcess process) => new SimulatedDiskView(this, process);

    /// <summary>The machine loses its power. Its processes must have been killed before.</summary>
    public void LosePower()
    {
        _boots++;
        World.Mark("power", _boots);
        World.Tell(_name, "lost its power");
        var before = _root.AllFiles().ToHashSet();
        _root.LosePower(_random);
        foreach (var file in _root.AllFiles().Concat(before).DistinctBy(file => file.Number).OrderBy(file => file.Number))
            file.LosePower(_random);
    }

    /// <summary>Flips bits of a byte, on the medium and in what is read from now on.</summary>
    public void Corrupt(string name, long offset, byte mask)
    {
        World.Mark("corrupt", offset, mask);
        World.Tell(_name, $"byte {offset} of {name} rots");
        Find(name)?.Flip(offset, mask);
    }

    /// <summary>Somebody or the disk takes the end of a file away, also under a process that has it open.</summary>
    public void CutShort(string name, long length)
    {
        World.Mark("cut short", length);
        World.Tell(_name, $"{name} is cut to {length} bytes");
        if (Find(name) is not { } file)
            return;
        file.SetLength(length);
        file.Flushed(file.FlushMark());
    }

    /// <summary>A process is about to delete a file, or to cut it to a length.</summary>
    public Action<string, long>? Shortening { get; set; }

    /// <summary>
    /// Other bytes in the place of a file's: what rots, or what somebody does to a file. Durable; a process that has it open sees them.
    /// </summary>
    public void Overwrite(string name, byte[] bytes)
    {
        World.Mark("overwrite", bytes.Length);
        Find(name)?.Become(bytes);
    }

    /// <summary>Nothing of the file is pending, and nobody has written to it for so long.</summary>
    public bool IsSettled(string name, TimeSpan quiet) => Find(name) is { PendingChanges: 0 } file && World.NowNs - file.ChangedNs >= quiet.Ticks * 100;

    /// <summary>All files as they are now.</summary>
    public IReadOnlyList<(string Name, byte[] Bytes)> Backup() => [.. AllFiles().Select(name => (name, ReadAll(name)))];

    /// <summary>Exactly the files of a backup, all of them durable. Nobody runs on the disk.</summary>
    public void Restore(IReadOnlyList<(string Name, byte[] Bytes)> backup)
    {
        World.Mark("restore", backup.Count);
        World.Tell(_name, $"gets the {backup.Count} files of a backup");
        _root = new SimulatedDirectory();
        foreach (var (name, bytes) in backup)
            Put(name, bytes);
    }

    /// <summary>Puts a file there, or another one in its place; durable. Nobody runs on the disk.</summary>
    public void Put(string name, byte[] bytes)
    {
        World.Mark("put", bytes.Length);
        int slash = name.LastIndexOf('/');
        if (slash > 0)
            MakeDirectory(name[..slash]);
        var (directory, leaf) = Parent(name);
        directory.SetFiles((leaf, SimulatedInode.Of(++_inodes, bytes)));
        for (string at = name; at.Length > 0;)
        {
            at = at.LastIndexOf('/') is > 0 and var end ? at[..end] : "";
            var parent = Directory(at)!;
            parent.Flushed(parent.FlushMark());
        }
    }

    /// <summary>Names of all files, from the root, as the kernel shows them.</summary>
    public IReadOnlyList<string> AllFiles()
    {
        var names = new List<string>();
        Walk(_root, "");
        return names;

        void Walk(SimulatedDirectory directory, string path)
        {
            foreach (string name in directory.Files.Keys)
                names.Add(path + name);
            foreach (var (name, child) in directory.Directories)
                Walk(child, path + name + "/");
        }
    }

    public bool Exists(string name) => Find(name) is not null;

    /// <inheritdoc cref="SimulatedInode.IsDurable"/>
    public bool IsDurable(string name, long length) => Find(name)?.IsDurable(length) == true;

    /// <summary>What the kernel shows of a file.</summary>
    public byte[] ReadAll(string name)
    {
        var file = Find(name) ?? throw new FileNotFoundException(name);
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        return bytes;
    }

    internal SimulatedDirectory? Directory(string name)
    {
        var directory = _root;
        foreach (string part in name.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part == ".")
                continue;
            if (!directory.Directories.TryGetValue(part, out directory!))
                return null;
        }
        return directory;
    }

    internal void MakeDirectory(string name)
    {
        var directory = _root;
        foreach (string part in name.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (part == ".")
                continue;
            if (!directory.Directories.TryGetValue(part, out var child))
                directory.AddDirectory(part, child = new SimulatedDirectory());
            directory = child;
        }
    }

    internal (SimulatedDirectory Directory, string Leaf) Parent(string name)
    {
        int slash = name.LastIndexOf('/');
        string parent = slash < 0 ? "" : name[..slash];
        return (Directory(parent) ?? throw new DirectoryNotFoundException($"{_name}: no directory for {name}."), name[(slash + 1)..]);
    }

    internal SimulatedInode? Find(string name)
    {
        int slash = name.LastIndexOf('/');
        return Directory(slash < 0 ? "" : name[..slash])?.Files.GetValueOrDefault(name[(slash + 1)..]);
    }

    internal SimulatedInode NewInode() => new(++_inodes);

    /// <summary>Space for growth of a file to <paramref name="end"/> bytes.</summary>
    /// <exception cref="DiskFullException">There is none.</exception>
    internal void MakeRoom(SimulatedInode file, long end)
    {
        long growth = end - file.Allocated;
        if (Faults.Full && (growth > 0 || Faults.ReservationsFail))
            throw new DiskFullException($"{_name}: no space left.");
        if (growth > 0 && CapacityBytes < 1L << 40 && UsedBytes + growth > CapacityBytes)
            throw new DiskFullException($"{_name}: no space left.");
    }

    internal bool DrawWriteError() => _random.Chance(Faults.WriteError);
    internal int DrawPart(int length) => _random.Below(length + 1);

    internal void Lock(string name, SimulatedProcess process)
    {
        if (_locks.TryGetValue(name, out var holder) && holder.IsAlive)
            throw new IOException($"{_name}: {name} is locked by {holder.Name}.");
        _locks[name] = process;
        var (directory, leaf) = Parent(name);
        if (!directory.Files.ContainsKey(leaf))
            directory.SetFiles((leaf, NewInode()));
    }

    internal void Unlock(string name, SimulatedProcess process)
    {
        if (_locks.TryGetValue(name, out var holder) && holder == process)
            _locks.Remove(name);
    }

    internal Task FlushAsync(SimulatedProcess process, string name, Func<long> mark, Action<long> done, Action<long, SimulatedRandom> failed)
    {
        var result = new TaskCompletionSource();   // completed in a step of the process, with nothing else on its stack
        if (!process.MayAct())
            return result.Task;
        Flushes++;
        long covered = mark();
        int boot = _boots;
        bool fails = FailFlush?.Invoke(name) == true || _random.Chance(Faults.FlushError);
        var takes = _random.Between(Faults.MinFlush, Faults.MaxFlush);
        if (_random.Chance(Faults.Tail))
            takes += _random.Between(TimeSpan.Zero, Faults.TailFlush);
        World.Mark("flush", process.Number, covered, takes.Ticks);
        World.After(takes, () =>
        {
            // A death before the end: whether the bytes made it stays open, and a loss of power will decide.
            if (boot != _boots || !process.IsAlive)
                return;
            if (fails && (FailFlush is not null || Faults.FlushError > 0))
            {
                failed(covered, _random);
                FailedFlushes++;
                World.Tell(process.Name, $"flush of {name} fails");
                World.At(World.NowNs, process, _ => result.TrySetException(new IOException($"{_name}: flush of {name}: input/output error.")), null);
            }
            else
            {
                done(covered);
                World.At(World.NowNs, process, static r => ((TaskCompletionSource)r!).TrySetResult(), result);
            }
        });
        return result.Task;
    }
}
