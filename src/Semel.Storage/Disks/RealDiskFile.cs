using Microsoft.Win32.SafeHandles;

namespace Semel.Storage.Disks;

/// <summary>
/// A file of a <see cref="RealDisk"/>. Reads and writes are plain calls on the caller's thread (they end in the page cache); flushes wait on the disk's own
/// threads, one at a time.
/// </summary>
internal sealed class RealDiskFile(SafeFileHandle handle, string path, FlushThreads threads) : IDiskFile
{
    private readonly FlushQueue _flushes = new(path, threads, () => Flush(handle, path));

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
            RandomAccess.Write(handle, source, offset);
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

    private static void Flush(SafeFileHandle handle, string path)
    {
        if (OperatingSystem.IsLinux())
            LinuxCalls.FlushData(handle, path);
        else
            RandomAccess.FlushToDisk(handle);
    }
}
