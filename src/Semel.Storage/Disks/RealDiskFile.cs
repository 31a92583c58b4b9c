using Microsoft.Win32.SafeHandles;
using Semel.Protocol;

namespace Semel.Storage.Disks;

/// <summary>
/// A file of a <see cref="RealDisk"/>. Reads and writes are plain calls on the caller's thread (they end in the page cache); flushes wait on the disk's own
/// threads. A flush that has not begun yet takes every later caller along: at most one runs and one waits per file.
/// </summary>
internal sealed class RealDiskFile(SafeFileHandle handle, string path, FlushThreads threads) : IDiskFile
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _waitingFlush;   // guarded by _gate; queued and not begun
    private IOException? _failedFlush;             // guarded by _gate; set once

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

    public ValueTask FlushAsync()
    {
        lock (_gate)
        {
            if (_failedFlush is { } failed)
                return ValueTask.FromException(AlreadyFailed(failed));
            if (_waitingFlush is null)
            {
                _waitingFlush = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                threads.Queue(RunFlush);
            }
            return new ValueTask(_waitingFlush.Task);
        }
    }

    private void RunFlush()
    {
        TaskCompletionSource flush;
        IOException? failed;
        lock (_gate)
        {
            Invariant.Holds(_waitingFlush is not null);
            flush = _waitingFlush;
            _waitingFlush = null;
            failed = _failedFlush;
        }
        if (failed is not null)
        {
            flush.SetException(AlreadyFailed(failed));
            return;
        }
        try
        {
            if (OperatingSystem.IsLinux())
                LinuxCalls.FlushData(handle, path);
            else
                RandomAccess.FlushToDisk(handle);
            flush.SetResult();
        }
        catch (IOException e)
        {
            lock (_gate)
                _failedFlush ??= e;
            flush.SetException(e);
        }
        catch (ObjectDisposedException e)
        {
            flush.SetException(e);
        }
    }

    /// <summary>The kernel reports a lost write once and forgets it: a second flush would succeed and mean nothing.</summary>
    private IOException AlreadyFailed(IOException failed) =>
        new($"An earlier flush of {path} failed, so nobody knows which of its bytes are durable. Restart the server; it reads the file again.", failed);

    public void Dispose() => handle.Dispose();
}
