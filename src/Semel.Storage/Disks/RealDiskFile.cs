using Microsoft.Win32.SafeHandles;

namespace Semel.Storage.Disks;

/// <summary>
/// A file of a <see cref="RealDisk"/>. Reads and writes are plain calls on the caller's thread (they end in the page cache); flushes wait on the disk's own
/// threads, one at a time.
/// </summary>
internal sealed class RealDiskFile(SafeFileHandle handle, string path, FlushThreads threads) : IDiskFile
{
    /// <summary>
    /// From this length on a write goes onward to the disk at once, and its pages serve the next one. Left to themselves they would pile up: whoever flushes next
    /// waits for all of them, and each further write takes memory that nobody has touched lately, which costs several times the copy.
    /// </summary>
    private const int BulkBytes = 64 << 10;

    private const int PageBytes = 4096;

    private readonly FlushQueue _flushes = new(path, threads, () => Flush(handle, path));
    private volatile bool _writesOnward = true;     // until the system has refused

    public long Length => RandomAccess.GetLength(handle);

    public int Read(long offset, Span<byte> target)
    {
        int done = 0;
        while (done < target.Length)
        {
            int read = RandomAccess.Read(handle, target[done..], offset + done);
            if (read == 0)
                break;
            done += read;
        }
        return done;
    }

    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        try
        {
            int begun = source.Length >= BulkBytes && _writesOnward ? WriteOnward(offset, source) : 0;
            RandomAccess.Write(handle, source[begun..], offset + begun);
        }
        catch (Exception e) when (DiskErrors.Translate(e, path) is { } translated)
        {
            throw translated;
        }
    }

    public void SetLength(long length)
    {
        try
        {
            RandomAccess.SetLength(handle, length);
        }
        catch (Exception e) when (DiskErrors.Translate(e, path) is { } translated)
        {
            throw translated;
        }
    }

    public void Reserve(long offset, long length)
    {
        if (OperatingSystem.IsLinux() && length > 0)
            LinuxCalls.TryReserve(handle, offset, length, path);
    }

    public void LeaveMemory(long offset, long length)
    {
        if (OperatingSystem.IsLinux() && length > 0)
            LinuxCalls.WillNotNeed(handle, offset, length);
    }

    public ValueTask FlushAsync() => _flushes.FlushAsync();

    public void Dispose() => handle.Dispose();

    /// <summary>Whole pages only: the next write goes on in the last one, and would have to read it back. Returns how many bytes it has written.</summary>
    private int WriteOnward(long offset, ReadOnlySpan<byte> source)
    {
        int whole = (int)((offset + source.Length) / PageBytes * PageBytes - offset);
        int written = OperatingSystem.IsLinux() ? LinuxCalls.WriteOnward(handle, offset, source[..whole]) : 0;
        if (written == 0)
            _writesOnward = false;
        return written;
    }

    private static void Flush(SafeFileHandle handle, string path)
    {
        if (OperatingSystem.IsLinux())
            LinuxCalls.FlushData(handle, path);
        else
            RandomAccess.FlushToDisk(handle);
    }
}
