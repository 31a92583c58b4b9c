using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Semel.Storage.Disks;

/// <summary>The calls of Linux that the base library has no method for. A call that a signal interrupted is repeated here.</summary>
internal static partial class LinuxCalls
{
    private const int KeepSize = 1;          // FALLOC_FL_KEEP_SIZE
    private const int CloseOnExec = 0x80000; // O_RDONLY | O_CLOEXEC; without O_DIRECTORY, whose number differs between processors

    private const int DontNeed = 4;          // POSIX_FADV_DONTNEED
    private const int DontCache = 0x80;      // RWF_DONTCACHE, Linux 6.14

    private const int AtWorkingDirectory = -100;    // AT_FDCWD
    private const int AskForKind = 1;               // STATX_TYPE
    private const int StatxBytes = 256;
    private const int StatxMode = 28;               // u16, the same on all processors
    private const int KindBits = 0xF000;            // S_IFMT

    private const int NoSuchEntry = 2;       // ENOENT
    private const int Interrupted = 4;       // EINTR
    private const int NoSuchCall = 38;       // ENOSYS
    private const int NotSupported = 95;     // EOPNOTSUPP

    /// <summary>Makes the file's bytes and its length durable; not its times.</summary>
    public static void FlushData(SafeFileHandle file, string path)
    {
        while (fdatasync(file) != 0)
            ThrowUnlessInterrupted($"Flushing {path}");
    }

    /// <summary>Gives the range blocks and leaves the length. False: the file system cannot.</summary>
    public static bool TryReserve(SafeFileHandle file, long offset, long length, string path)
    {
        while (fallocate(file, KeepSize, offset, length) != 0)
        {
            if (Marshal.GetLastPInvokeError() is NotSupported or NoSuchCall)
                return false;
            ThrowUnlessInterrupted($"Reserving {length} bytes at {offset} in {path}");
        }
        return true;
    }

    /// <summary>
    /// Writes, has the disk begin with the bytes at once, and gives their memory back as soon as it has them. Returns how many were written: fewer than all where the file
    /// system or the kernel cannot do that, or when something failed, which an ordinary write of the rest will meet, too.
    /// </summary>
    public static unsafe int WriteOnward(SafeFileHandle file, long offset, ReadOnlySpan<byte> source)
    {
        int done = 0;
        try
        {
            fixed (byte* first = source)
            {
                while (done < source.Length)
                {
                    var rest = new IoVector(first + done, (nuint)(source.Length - done));
                    nint written = pwritev2(file, &rest, 1, offset + done, DontCache);
                    if (written > 0)
                        done += (int)written;
                    else if (written == 0 || Marshal.GetLastPInvokeError() != Interrupted)
                        break;
                }
            }
        }
        catch (EntryPointNotFoundException)
        {
            // A C library without the call.
        }
        return done;
    }

    /// <summary>Clean pages of the range leave the page cache. A hint, so a failure is none.</summary>
    public static void WillNotNeed(SafeFileHandle file, long offset, long length) => _ = posix_fadvise(file, offset, length, DontNeed);

    /// <summary>Renames whatever has the name.</summary>
    public static void Rename(string from, string to)
    {
        while (rename(from, to) != 0)
        {
            if (Marshal.GetLastPInvokeError() == NoSuchEntry)
                throw new FileNotFoundException($"There is no {from}, or no directory for {to}.", from);
            ThrowUnlessInterrupted($"Renaming {from} to {to}");
        }
    }

    /// <summary>
    /// What the name leads to, if it is there and is no file; without opening it. Null: it is a file, or nobody can tell.
    /// </summary>
    public static unsafe string? OddKindOf(string path)
    {
        byte* status = stackalloc byte[StatxBytes];
        try
        {
            if (statx(AtWorkingDirectory, path, 0, AskForKind, status) != 0)
                return null;        // whoever opens it will learn why
        }
        catch (EntryPointNotFoundException)
        {
            return null;            // a C library without the call
        }
        return (*(ushort*)(status + StatxMode) & KindBits) switch
        {
            0x8000 => null,
            0x1000 => "a named pipe",
            0x2000 => "a character device",
            0x4000 => "a directory",
            0x6000 => "a block device",
            0xC000 => "a socket",
            _ => "something unknown",
        };
    }

    /// <summary>Makes the names in the directory durable.</summary>
    public static void FlushDirectory(string path)
    {
        using var directory = OpenDirectory(path);
        while (fsync(directory) != 0)
            ThrowUnlessInterrupted($"Flushing the directory {path}");
    }

    private static SafeFileHandle OpenDirectory(string path)
    {
        while (true)
        {
            var handle = open(path, CloseOnExec, 0);
            if (!handle.IsInvalid)
                return handle;
            ThrowUnlessInterrupted($"Opening the directory {path}");
        }
    }

    private static void ThrowUnlessInterrupted(string action)
    {
        int error = Marshal.GetLastPInvokeError();
        if (error != Interrupted)
            throw DiskErrors.Of(error, $"{action} failed: {Marshal.GetPInvokeErrorMessage(error)}.");
    }

    private readonly unsafe struct IoVector(byte* start, nuint length)
    {
        public readonly byte* Start = start;
        public readonly nuint Length = length;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint pwritev2(SafeFileHandle file, IoVector* vectors, int count, long offset, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rename(string from, string to);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statx(int directory, string path, int flags, uint mask, byte* status);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags, int mode);
}
