using Semel.Simulation.Kernel;

namespace Semel.Simulation.Disk;

/// <summary>A directory's entries, twice: as the kernel shows them, and as the medium holds them. See <see cref="SimulatedInode"/>.</summary>
internal sealed class SimulatedDirectory
{
    private readonly List<Change[]> _pending = [];
    private readonly SortedDictionary<string, SimulatedInode> _medium = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _mediumDirectories = new(StringComparer.Ordinal);
    private long _flushed;

    public SortedDictionary<string, SimulatedInode> Files { get; } = new(StringComparer.Ordinal);
    public SortedDictionary<string, SimulatedDirectory> Directories { get; } = new(StringComparer.Ordinal);
    public int PendingChanges => _pending.Count;

    public void AddDirectory(string name, SimulatedDirectory directory)
    {
        Directories.Add(name, directory);
        _pending.Add([new Change(name, null, directory)]);
    }

    /// <summary>Each of the two ends becomes durable alone, as with a file that moves to another directory.</summary>
    public void MoveDirectory(string name, SimulatedDirectory target, string newName)
    {
        target.AddDirectory(newName, Directories[name]);
        Directories.Remove(name);
        _pending.Add([new Change(name, null, null) { IsDirectory = true }]);
    }

    /// <summary>All of these become durable together or not at all.</summary>
    public void SetFiles(params ReadOnlySpan<(string Name, SimulatedInode? File)> entries)
    {
        var changes = new Change[entries.Length];
        for (int i = 0; i < entries.Length; i++)
        {
            var (name, file) = entries[i];
            if (file is null)
                Files.Remove(name);
            else
                Files[name] = file;
            changes[i] = new Change(name, file, null);
        }
        _pending.Add(changes);
    }

    public long FlushMark() => _flushed + _pending.Count;

    public void Flushed(long mark)
    {
        int count = (int)Math.Max(0, mark - _flushed);
        for (int i = 0; i < count; i++)
            Apply(_pending[i]);
        Forget(count);
    }

    /// <summary>Of the changes that no flush covered, a journal keeps a prefix; a file system without one keeps any of them.</summary>
    public void LosePower(SimulatedRandom random)
    {
        bool journal = random.OneIn(2);
        int kept = journal ? random.Below(_pending.Count + 1) : 0;
        for (int i = 0; i < _pending.Count; i++)
        {
            if (journal ? i < kept : random.OneIn(2))
                Apply(_pending[i]);
        }
        Forget(_pending.Count);

        Files.Clear();
        foreach (var (name, file) in _medium)
            Files.Add(name, file);
        foreach (string lost in Directories.Keys.Where(name => !_mediumDirectories.Contains(name)).ToList())
            Directories.Remove(lost);
        foreach (var directory in Directories.Values)
            directory.LosePower(random);
    }

    /// <summary>Every file of the tree that the kernel shows.</summary>
    public IEnumerable<SimulatedInode> AllFiles() => Files.Values.Concat(Directories.Values.SelectMany(directory => directory.AllFiles()));

    private void Apply(Change[] changes)
    {
        foreach (var change in changes)
        {
            if (change.Directory is not null)
                _mediumDirectories.Add(change.Name);
            else if (change.IsDirectory)
                _mediumDirectories.Remove(change.Name);
            else if (change.File is not null)
                _medium[change.Name] = change.File;
            else
                _medium.Remove(change.Name);
        }
    }

    private void Forget(int count)
    {
        _pending.RemoveRange(0, count);
        _flushed += count;
    }

    private readonly record struct Change(string Name, SimulatedInode? File, SimulatedDirectory? Directory)
    {
        /// <summary>Without a file and a directory: which of the two goes.</summary>
        public bool IsDirectory { get; init; }
    }
}
