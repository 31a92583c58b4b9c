namespace Semel.Storage.Disks;

/// <summary>
/// The files of a disk that are open at the moment. A server may have many more replicas than a process may have open files: each file is opened when it is used, and
/// closes another that was not used for a while.
/// </summary>
/// <param name="most">
/// So many are open at most, 1 or more; from three quarters on those are closed that were not used lately. Files that threads use or write at the same moment, and files of
/// which a flush has failed, may come on top.
/// </param>
/// <remarks>
/// A file with writes that were not flushed is flushed before it is closed: the kernel tells of a write that it lost to those who have the file open, and whoever opens it
/// later may never hear of it.
/// </remarks>
internal sealed class OpenFiles(int most)
{
    /// <summary>Who needs a place looks at no more than so many files; a full turn would take too long with many thousand.</summary>
    private const int Candidates = 64;

    private const int Flushes = 3;

    private readonly int _enough = Math.Max(1, most - (most / 4));

    private readonly Lock _gate = new();
    private readonly LinkedList<RealDiskFile> _files = new();   // guarded by _gate; the next candidate first

    public int Count
    {
        get
        {
            lock (_gate)
                return _files.Count;
        }
    }

    /// <summary>Only for tests.</summary>
    internal IReadOnlyList<LinkedListNode<RealDiskFile>> Places()
    {
        var places = new List<LinkedListNode<RealDiskFile>>();
        lock (_gate)
        {
            for (var place = _files.First; place is not null; place = place.Next)
                places.Add(place);
        }
        return places;
    }

    /// <summary>
    /// Gives a file that is about to be opened its place. Closes two others when there are enough, so that their number falls back when all that could be closed had to be
    /// flushed first for a while. Waits for such a flush only when there are as many as there may be: somebody else's work waits meanwhile.
    /// </summary>
    /// <param name="file">It is closed.</param>
    /// <param name="mayWait">A thread that flushes must not: it could wait for itself.</param>
    /// <returns>What to hand to <see cref="Leave"/>.</returns>
    public LinkedListNode<RealDiskFile> Enter(RealDiskFile file, bool mayWait)
    {
        for (int flushes = 0; ; flushes++)
        {
            RealDiskFile? unflushed = null;
            lock (_gate)
            {
                bool isFull = _files.Count >= most;
                if (_files.Count >= _enough && TryCloseOne(sparesUsed: !isFull, out unflushed) && _files.Count >= _enough)
                    TryCloseOne(sparesUsed: true, out _);
                if (_files.Count < most || unflushed is null || !mayWait || flushes == Flushes)
                    return _files.AddLast(file);
            }
            unflushed.FlushAndWait();
        }
    }

    /// <summary>The file was closed. May be called again.</summary>
    public void Leave(LinkedListNode<RealDiskFile> place)
    {
        lock (_gate)
        {
            if (place.List is not null)
                _files.Remove(place);
        }
    }

    /// <param name="sparesUsed">Second chance: a file that was used since its last turn is passed over.</param>
    /// <param name="unflushed">The first one that a flush would free, if none was closed; it is the next candidate then.</param>
    private bool TryCloseOne(bool sparesUsed, out RealDiskFile? unflushed)
    {
        LinkedListNode<RealDiskFile>? next = null;
        int turns = Math.Min(_files.Count * 2, Candidates);
        for (int turn = 0; turn < turns; turn++)
        {
            var place = _files.First!;
            _files.RemoveFirst();
            var closing = place.Value.TryClose(place, sparesUsed);
            if (closing == Closing.Closed)
            {
                unflushed = null;
                return true;
            }
            _files.AddLast(place);
            if (closing == Closing.Unflushed)
                next ??= place;
        }
        unflushed = next?.Value;
        if (next is not null)
        {
            _files.Remove(next);
            _files.AddFirst(next);
        }
        return false;
    }
}

/// <summary>What became of the attempt to close a file that may be opened again.</summary>
internal enum Closing
{
    Closed,

    /// <summary>It is being used or was used lately; or a flush of it has failed, which nobody may forget.</summary>
    InUse,

    /// <summary>It has writes that must be flushed first.</summary>
    Unflushed,
}
