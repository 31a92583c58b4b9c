namespace Semel.Master.Writers;

/// <summary>A set of ids that are added in ascending order, nearly without gaps: it costs one pair of numbers for each gap.</summary>
internal sealed class IdRanges
{
    private readonly List<(ulong First, ulong End)> _ranges = [];

    /// <summary>Adds an id: one that is in the set already, or the highest so far.</summary>
    public void Add(ulong id)
    {
        if (_ranges.Count > 0 && id < _ranges[^1].End)
            return;
        if (_ranges.Count > 0 && id == _ranges[^1].End)
            _ranges[^1] = (_ranges[^1].First, id + 1);
        else
            _ranges.Add((id, id + 1));
    }

    public bool Contains(ulong id)
    {
        int at = _ranges.BinarySearch((id, ulong.MaxValue), Comparer<(ulong First, ulong End)>.Create(static (a, b) => a.First.CompareTo(b.First)));
        return at >= 0 || (~at > 0 && id < _ranges[~at - 1].End);
    }
}
