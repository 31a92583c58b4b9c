using Semel.Master.Namespace;

namespace Semel.Master.Chunks;

/// <summary>What goes on with one file's tail at the moment. Not logged.</summary>
internal sealed class FileActivity(FileNode file)
{
    public FileNode File { get; } = file;

    /// <summary>When somebody last asked where to append.</summary>
    public long UsedAt { get; set; }

    /// <summary>Calls that wait for the tail to become usable.</summary>
    public int Waiters { get; set; }

    /// <summary>When a primary last took over the tail.</summary>
    public long? GrantedAt { get; set; }

    /// <summary>When a chunk was last sealed early for want of members.</summary>
    public long? ShortSealAt { get; set; }
}

/// <summary>Files that are or were lately used.</summary>
internal sealed class ActivityTable(MasterServices services)
{
    /// <summary>A file that nobody asked about for this long is not in use.</summary>
    public static readonly TimeSpan InUseFor = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan Remembered = TimeSpan.FromMinutes(5);

    private readonly SortedDictionary<ulong, FileActivity> _files = [];

    public FileActivity Of(FileNode file)
    {
        if (!_files.TryGetValue(file.Id.Value, out var activity))
            _files.Add(file.Id.Value, activity = new FileActivity(file) { UsedAt = services.Now - (long)(InUseFor.TotalSeconds * services.Time.TimestampFrequency) });
        return activity;
    }

    public bool IsInUse(FileNode file) => _files.TryGetValue(file.Id.Value, out var activity) && IsInUse(activity);

    /// <summary>A primary took over the file's tail within this time.</summary>
    public bool WasGrantedWithin(FileNode file, TimeSpan time) =>
        _files.TryGetValue(file.Id.Value, out var activity) && activity.GrantedAt is { } at && services.Since(at) < time;

    public bool IsWaitedFor(FileNode file) => _files.TryGetValue(file.Id.Value, out var activity) && activity.Waiters > 0;

    /// <summary>Forgets files that nobody has asked about for long.</summary>
    public void Prune()
    {
        foreach (var (id, activity) in _files.Where(f => f.Value.Waiters == 0 && (f.Value.File.IsDeleted || services.Since(f.Value.UsedAt) > InUseFor + Remembered)).ToList())
            _files.Remove(id);
    }

    private bool IsInUse(FileActivity activity) => activity.Waiters > 0 || services.Since(activity.UsedAt) < InUseFor;
}
