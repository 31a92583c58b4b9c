using Semel.Protocol.Buffers;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// The last groups that went to the disk, until every secondary holds them: a secondary that is a group or two behind is sent them from here and not from the disk.
/// </summary>
internal sealed class RecentGroups
{
    /// <summary>A secondary that lacks more catches up from the disk.</summary>
    private const int MostKept = 8;

    private readonly Queue<FrameGroup> _groups = new();     // each begins where the one before ends
    private readonly Stack<FrameGroup> _spare = new();

    /// <summary>An empty group to fill.</summary>
    public FrameGroup Next() => _spare.TryPop(out var group) ? group : new FrameGroup();

    /// <summary>A group that was written; this owns it now.</summary>
    public void Add(FrameGroup group)
    {
        if (_groups.Count == MostKept)
            Drop();
        _groups.Enqueue(group);
    }

    /// <summary>The frames of the group that begins there, with a reference of their own.</summary>
    public bool TryShare(uint start, out Payload frames)
    {
        foreach (var group in _groups)
        {
            if (group.Start != start)
                continue;
            frames = group.Share();
            return true;
        }
        frames = Payload.Empty;
        return false;
    }

    /// <summary>Every secondary holds what is below.</summary>
    public void DropBelow(uint offset)
    {
        while (_groups.TryPeek(out var oldest) && oldest.End <= offset)
            Drop();
    }

    public void Clear()
    {
        while (_groups.Count > 0)
            Drop();
    }

    private void Drop()
    {
        var group = _groups.Dequeue();
        group.Clear();
        _spare.Push(group);
    }
}
