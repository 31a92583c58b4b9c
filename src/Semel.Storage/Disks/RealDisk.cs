using Microsoft.Win32.SafeHandles;
using Semel.Protocol;

namespace Semel.Storage.Disks;

/// <summary>A directory of this machine's file system. The directory is created with the first <see cref="RealDisk"/> on it.</summary>
public sealed class RealDisk : IDisk
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private const int DefaultOpenFiles = 512;

    private readonly string _root;
    private readonly FlushThreads _threads = new();

    /// <param name="root">The directory.</param>
    /// <param name="mostOpenFiles">
    /// So many of the system's files are kept open, 1 or more; beyond it a file that was not used for a while is closed for another, and opened again when it is needed.
    /// </param>
    /// <exception cref="IOException">The directory cannot be created or is not a directory.</exception>
    public RealDisk(string root, int mostOpenFiles = DefaultOpenFiles)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(root);
        ArgumentOutOfRangeException.ThrowIfLessThan(mostOpenFiles, 1);
        OpenFiles = new OpenFiles(mostOpenFiles);
        _root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root));
        if (File.Exists(_root))
            throw new IOException($"{_root} is a file. Give a directory.");
        foreach (string created in CreateMissing(_root))
            FlushDirectory(Path.GetDirectoryName(created)!);
        BootId = ReadBootId();
    }

    /// <summary>The directory, for messages to people.</summary>
    public override string ToString() => _root;

    public string BootId { get; }

    internal OpenFiles OpenFiles { get; }

    public long CapacityBytes => new DriveInfo(_root).TotalSize;
    public long FreeBytes => new DriveInfo(_root).AvailableFreeSpace;

    public void CreateDirectory(string name) => CreateMissing(Resolve(name));

    public bool FileExists(string name) => File.Exists(Resolve(name));

    public IReadOnlyList<string> ListFiles(string directory) => List(directory, static d => d.EnumerateFiles());

    public IReadOnlyList<string> ListDirectories(string directory) => List(directory, static d => d.EnumerateDirectories());

    public IDiskFile Open(string name, bool create) => new RealDiskFile(Resolve(name), create, OpenFiles, _threads);

    public void Rename(string from, string to)
    {
        string path = Resolve(from);
        string target = Resolve(to);
        try
        {
            if (OperatingSystem.IsLinux())
                LinuxCalls.Rename(path, target);        // the base library asks first whether it is a file
            else if (Directory.Exists(path))
                Directory.Move(path, target);
            else
                File.Move(path, target, overwrite: true);
        }
        catch (Exception e) when (DiskErrors.Translate(e, path) is { } translated)
        {
            throw translated;
        }
    }

    public void Delete(string name)
    {
        string path = Resolve(name);
        try
        {
            File.Delete(path);
        }
        catch (DirectoryNotFoundException)
        {
            // Neither is the file.
        }
        catch (Exception e) when (DiskErrors.Translate(e, path) is { } translated)
        {
            throw translated;
        }
    }

    public ValueTask FlushDirectoryAsync(string directory)
    {
        string path = Resolve(directory);
        var flush = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _threads.Queue(() =>
        {
            try
            {
                FlushDirectory(path);
                flush.SetResult();
            }
            catch (IOException e)
            {
                flush.SetException(e);
            }
        });
        return new ValueTask(flush.Task);
    }

    public IDisposable Lock(string name)
    {
        string path = Resolve(name);
        try
        {
            // On Unix the base library turns this into flock(LOCK_EX), which ends with the process, however it ends.
            return OpenHandle(path, FileMode.OpenOrCreate, FileShare.None);
        }
        catch (IOException e) when (DiskErrors.IsSharingViolation(e))
        {
            throw new DirectoryInUseException(
                $"The directory {_root} is in use by another process, which holds {path}. Stop that process, or give this one a directory of its own.", e);
        }
    }

    internal static SafeFileHandle OpenHandle(string path, FileMode mode, FileShare share)
    {
        try
        {
            // Before it is opened: a pipe or a device might wait for somebody.
            if (mode == FileMode.Open && OperatingSystem.IsLinux() && LinuxCalls.OddKindOf(path) is { } kind)
                throw DiskErrors.Odd(path, kind);
            return File.OpenHandle(path, mode, FileAccess.ReadWrite, share);
        }
        catch (DirectoryNotFoundException e) when (mode == FileMode.Open)
        {
            throw new FileNotFoundException(e.Message, path, e);
        }
        catch (Exception e) when (DiskErrors.Translate(e, path) is { } translated)
        {
            throw translated;
        }
    }

    private List<string> List(string directory, Func<DirectoryInfo, IEnumerable<FileSystemInfo>> entries)
    {
        var info = new DirectoryInfo(Resolve(directory));
        if (!info.Exists)
            return [];
        var names = entries(info).Select(entry => entry.Name).ToList();
        names.Sort(StringComparer.Ordinal);
        return names;
    }

    /// <summary>Creates the directory and its missing parents; returns what it created, outermost first.</summary>
    private static List<string> CreateMissing(string path)
    {
        var missing = new Stack<string>();
        for (string? at = path; at is not null && !Directory.Exists(at); at = Path.GetDirectoryName(at))
            missing.Push(at);
        var created = new List<string>();
        foreach (string directory in missing)
        {
            try
            {
                if (OperatingSystem.IsWindows())
                    Directory.CreateDirectory(directory);
                else
                    Directory.CreateDirectory(directory, OwnerOnly);
            }
            catch (Exception e) when (DiskErrors.Translate(e, directory) is { } translated)
            {
                throw translated;
            }
            created.Add(directory);
        }
        return created;
    }

    private static void FlushDirectory(string path)
    {
        // Elsewhere a directory cannot be flushed, or need not be.
        if (OperatingSystem.IsLinux())
            LinuxCalls.FlushDirectory(path);
    }

    /// <summary>Our own code gives the names, so a name that leaves the tree is a bug.</summary>
    private string Resolve(string name)
    {
        Invariant.Holds(!Path.IsPathRooted(name));
        Invariant.Holds(!name.Split('/').Contains(".."));
        return name.Length == 0 ? _root : Path.Join(_root, name);
    }

    private static string ReadBootId()
    {
        const string Unknown = "unknown";
        try
        {
            return OperatingSystem.IsLinux() ? File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim() : Unknown;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Unknown;
        }
    }
}
