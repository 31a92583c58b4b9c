using Microsoft.Win32.SafeHandles;

namespace Semel.Storage.Disks;

/// <summary>
/// A file of a <see cref="RealDisk"/>. Reads and writes are plain calls on the caller's thread (they end in the page cache); flushes wait on the disk's own
/// threads, one at a time. Between two calls the system's file may be closed and opened again: see <see cref="OpenFiles"/>.
/// </summary>
internal sealed class RealDiskFile : IDiskFile
{
    /// <summary>
    /// From this length on a write goes onward to the disk at once, and its pages serve the next one. Left to themselves they would pile up: whoever flushes next
    /// waits for all of them, and each further write takes memory that nobody has touched lately, which costs several times the copy.
    /// </summary>
    private const int BulkBytes = 64 << 10;

    private const int PageBytes = 4096;

    private readonly string _path;
    private readonly OpenFiles _openFiles;
    private readonly FlushQueue _flushes;
    private volatile bool _writesOnward = true;     // until the system has refused

    private readonly Lock _opening = new();         // while it is opened
    private readonly Lock _gate = new();
    private SafeFileHandle? _handle;                // guarded by _gate, as is all that follows; null: closed
    private LinkedListNode<RealDiskFile>? _place;   // among the open files
    private int _pins;                              // calls that use the handle now
    private bool _isUsed;                           // since somebody last wanted to close it
    private long _changes;                          // calls that have changed something, each counted when it is over
    private long _flushedChanges;                   // of these, how many a flush has followed
    private bool _flushHasFailed;
    private bool _isDisposed;

    /// <exception cref="IOException">It cannot be opened, or is there already although it was to be made.</exception>
    public RealDiskFile(string path, bool create, OpenFiles openFiles, FlushThreads threads)
    {
        _path = path;
        _openFiles = openFiles;
        _flushes = new FlushQueue(path, threads, Flush);
        Open(create ? FileMode.CreateNew : FileMode.Open, mayWait: true);
        Unpin(changes: false);
    }

    public long Length
    {
        get
        {
            using var use = Use();
            return RandomAccess.GetLength(use.Handle);
        }
    }

    public int Read(long offset, Span<byte> target)
    {
        using var use = Use();
        int done = 0;
        while (done < target.Length)
        {
            int read = RandomAccess.Read(use.Handle, target[done..], offset + done);
            if (read == 0)
                break;
            done += read;
        }
        return done;
    }

    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        using var use = Use(changes: true);
        try
        {
            int begun = source.Length >= BulkBytes && _writesOnward ? WriteOnward(use.Handle, offset, source) : 0;
            RandomAccess.Write(use.Handle, source[begun..], offset + begun);
        }
        catch (Exception e) when (DiskErrors.Translate(e, _path) is { } translated)
        {
            throw translated;
        }
    }

    public void SetLength(long length)
    {
        using var use = Use(changes: true);
        try
        {
            RandomAccess.SetLength(use.Handle, length);
        }
        catch (Exception e) when (DiskErrors.Translate(e, _path) is { } translated)
        {
            throw translated;
        }
    }

    public void Reserve(long offset, long length)
    {
        if (!OperatingSystem.IsLinux() || length == 0)
            return;
        // No change that a flush must follow: without the reservation a later write has to find its own space.
        using var use = Use();
        LinuxCalls.TryReserve(use.Handle, offset, length, _path);
    }

    public void LeaveMemory(long offset, long length)
    {
        if (!OperatingSystem.IsLinux() || length == 0)
            return;
        using var use = Use();
        LinuxCalls.WillNotNeed(use.Handle, offset, length);
    }

    public ValueTask FlushAsync() => _flushes.FlushAsync();

    public void Dispose()
    {
        SafeFileHandle? handle;
        LinkedListNode<RealDiskFile>? place;
        lock (_gate)
        {
            _isDisposed = true;
            (handle, place) = (_handle, _place);
            (_handle, _place) = (null, null);
        }
        if (place is not null)
            _openFiles.Leave(place);
        handle?.Dispose();
    }

    /// <summary>For <see cref="OpenFiles"/>, which has given it that place and needs it for another file.</summary>
    /// <param name="place">Where it was found; an older one of it says nothing.</param>
    /// <param name="sparesUsed">Not if it was used since this was last asked.</param>
    internal Closing TryClose(LinkedListNode<RealDiskFile> place, bool sparesUsed = true)
    {
        lock (_gate)
        {
            bool isSpared = sparesUsed && _isUsed;
            _isUsed = false;
            if (_place != place || _pins > 0 || isSpared || _flushHasFailed)
                return Closing.InUse;
            if (_changes != _flushedChanges)
                return Closing.Unflushed;
            _handle!.Dispose();
            (_handle, _place) = (null, null);
            return Closing.Closed;
        }
    }

    /// <summary>For <see cref="OpenFiles"/>. A failure is for the next one who flushes: they all fail from then on.</summary>
    internal void FlushAndWait()
    {
        try
        {
            // The disk's own threads do it, and need nobody's.
            FlushAsync().AsTask().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
        }
    }

    /// <summary>The open file, which stays open until the result is disposed.</summary>
    /// <param name="changes">The call changes something, and a flush must follow before the file may be closed.</param>
    /// <param name="mayWait">See <see cref="OpenFiles.Enter"/>.</param>
    private FileUse Use(bool changes = false, bool mayWait = true) => new(this, TryPin() ?? Open(FileMode.Open, mayWait), changes);

    private SafeFileHandle? TryPin()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _handle is null ? null : PinOpen();
        }
    }

    private SafeFileHandle PinOpen()
    {
        _pins++;
        _isUsed = true;
        return _handle!;
    }

    private void Unpin(bool changes)
    {
        lock (_gate)
        {
            _pins--;
            _changes += changes ? 1 : 0;
        }
    }

    /// <summary>Opens the file, unless another thread has just done so, and pins it.</summary>
    private SafeFileHandle Open(FileMode mode, bool mayWait)
    {
        var place = _openFiles.Enter(this, mayWait);
        SafeFileHandle? unused = null;
        bool isTaken = false;
        try
        {
            lock (_opening)
            {
                if (TryPin() is { } open)
                    return open;
                unused = RealDisk.OpenHandle(_path, mode, FileShare.ReadWrite | FileShare.Delete);
                lock (_gate)
                {
                    ObjectDisposedException.ThrowIf(_isDisposed, this);
                    (_handle, _place, unused, isTaken) = (unused, place, null, true);
                    return PinOpen();
                }
            }
        }
        finally
        {
            unused?.Dispose();
            if (!isTaken)
                _openFiles.Leave(place);
        }
    }

    /// <summary>Whole pages only: the next write goes on in the last one, and would have to read it back. Returns how many bytes it has written.</summary>
    private int WriteOnward(SafeFileHandle handle, long offset, ReadOnlySpan<byte> source)
    {
        int whole = (int)((offset + source.Length) / PageBytes * PageBytes - offset);
        int written = OperatingSystem.IsLinux() ? LinuxCalls.WriteOnward(handle, offset, source[..whole]) : 0;
        if (written == 0)
            _writesOnward = false;
        return written;
    }

    /// <summary>On a thread of the disk. A change that ends while the flush runs may have missed it, and is counted after it.</summary>
    private void Flush()
    {
        using var use = Use(mayWait: false);
        long changes = Volatile.Read(ref _changes);
        try
        {
            if (OperatingSystem.IsLinux())
                LinuxCalls.FlushData(use.Handle, _path);
            else
                RandomAccess.FlushToDisk(use.Handle);
            lock (_gate)
                _flushedChanges = changes;
        }
        catch (IOException)
        {
            lock (_gate)
                _flushHasFailed = true;
            throw;
        }
    }

    private readonly ref struct FileUse(RealDiskFile file, SafeFileHandle handle, bool changes)
    {
        public SafeFileHandle Handle => handle;

        public void Dispose() => file.Unpin(changes);
    }
}
