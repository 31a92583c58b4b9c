namespace Semel.Storage.Disks;

/// <summary>
/// One directory tree on one device. Two implementations: the real disk and the simulated one, which forgets what was not
/// flushed and tears writes. Names are relative, with <c>/</c>, already validated by our own code (never a peer's string).
/// </summary>
/// <remarks>
/// Durability is what the kernel gives and no more: written bytes survive a crash of the process at once, a loss of power
/// only after <see cref="IDiskFile.FlushAsync"/>; a created, renamed or deleted name survives a loss of power only after
/// <see cref="FlushDirectoryAsync"/> of its directory.
/// Failures of the disk are <see cref="DiskFullException"/> and <see cref="IOException"/>.
/// </remarks>
public interface IDisk
{
    /// <summary>Changes when the machine was started anew: bytes that were not flushed before may be gone.</summary>
    string BootId { get; }

    long CapacityBytes { get; }
    long FreeBytes { get; }

    /// <summary>Creates the directory and its parents where missing. Mode 0700.</summary>
    void CreateDirectory(string name);

    bool FileExists(string name);

    /// <summary>Names of the files in a directory (not of its subdirectories), relative to it, in ordinal order. Empty if there is no such directory.</summary>
    IReadOnlyList<string> ListFiles(string directory);

    /// <summary>Names of the directories in a directory, relative to it, in ordinal order.</summary>
    IReadOnlyList<string> ListDirectories(string directory);

    /// <summary>Opens for reading and writing; with <paramref name="create"/> makes a new file and fails if the name exists.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="OddFileException">Something else is there. It was not touched, and nobody waited for it.</exception>
    IDiskFile Open(string name, bool create);

    /// <summary>
    /// Replaces the target if there is one; atomic. A file that is open under one of the names must be closed before. Moves whatever has
    /// the name, be it a file or not.
    /// </summary>
    /// <exception cref="OddFileException">The target is a directory.</exception>
    void Rename(string from, string to);

    /// <summary>No error if there is no such file. What has it open may go on or fail.</summary>
    /// <exception cref="OddFileException">It is a directory.</exception>
    void Delete(string name);

    /// <summary>Makes names created, renamed and deleted in the directory durable.</summary>
    ValueTask FlushDirectoryAsync(string directory);

    /// <summary>
    /// Takes the exclusive right to the tree until disposed (or until the process ends).
    /// </summary>
    /// <exception cref="DirectoryInUseException">Another process holds it.</exception>
    IDisposable Lock(string name);
}

/// <summary>
/// A file in use. Reads and writes go to the page cache and return at once; they may run in parallel with each other and with a
/// flush. Thread-safe; who writes where is the caller's order.
/// </summary>
public interface IDiskFile : IDisposable
{
    long Length { get; }

    /// <summary>Reads up to <c>target.Length</c> bytes; fewer only at the file's end.</summary>
    int Read(long offset, Span<byte> target);

    /// <summary>
    /// Writes all bytes, growing the file. On an exception any part may have been written. Bulk data need not stay in the page cache: a disk may begin to write it at once
    /// and give its memory to what comes next.
    /// </summary>
    /// <exception cref="DiskFullException">No space.</exception>
    void Write(long offset, ReadOnlySpan<byte> source);

    /// <summary>Cuts or extends (with zeros).</summary>
    void SetLength(long length);

    /// <summary>
    /// Makes sure that writes into the range will not fail for want of space; the file's length stays. Best effort where the file system cannot.
    /// </summary>
    /// <exception cref="DiskFullException">No space.</exception>
    void Reserve(long offset, long length);

    /// <summary>
    /// Makes everything that was written before the call durable, the length included (<c>fdatasync</c>). Flushes of one open file run one after the other. After a failure what is durable
    /// is unknown, and every later flush of it fails, too.
    /// </summary>
    ValueTask FlushAsync();

    /// <summary>A hint: what is durable of the range will hardly be read soon, so its memory may serve others. The bytes stay as they are.</summary>
    void LeaveMemory(long offset, long length);
}

/// <summary>The device has no space left (ENOSPC, EDQUOT).</summary>
public sealed class DiskFullException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>
/// What has the name is no file: a directory, a pipe, a socket, a device, or a link to nowhere. The message says which, and what to do.
/// </summary>
public sealed class OddFileException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>Another process holds the tree.</summary>
public sealed class DirectoryInUseException(string message, Exception? inner = null) : IOException(message, inner);
