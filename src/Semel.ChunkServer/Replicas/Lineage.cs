using Semel.Protocol.Identity;

namespace Semel.ChunkServer.Replicas;

/// <summary>
/// Which ballot sequenced which stretch of a log. A ballot and an offset determine the frame, so two logs are compared by their
/// lineages without reading a frame.
/// </summary>
internal sealed class Lineage
{
    private readonly List<(Ballot Ballot, uint Start)> _stretches = [];

    public IReadOnlyList<(Ballot Ballot, uint Start)> Stretches => _stretches;

    /// <summary>The next frame of the log. False: its ballot is below that of the frame before, and nothing has changed.</summary>
    public bool TryExtend(Ballot ballot, uint offset)
    {
        if (_stretches.Count > 0 && _stretches[^1].Ballot == ballot)
            return true;
        if (_stretches.Count > 0 && (_stretches[^1].Ballot > ballot || _stretches[^1].Start >= offset))
            return false;
        _stretches.Add((ballot, offset));
        return true;
    }

    public void Cut(uint length)
    {
        while (_stretches.Count > 0 && _stretches[^1].Start >= length)
            _stretches.RemoveAt(_stretches.Count - 1);
    }

    /// <summary>Length of the common prefix of this log and another one.</summary>
    public uint CommonPrefix(uint tail, IReadOnlyList<(Ballot Ballot, uint Start)> other, uint otherTail)
    {
        uint common = 0;
        for (int i = 0; i < _stretches.Count && i < other.Count && _stretches[i] == other[i]; i++)
        {
            uint end = i + 1 < _stretches.Count ? _stretches[i + 1].Start : tail;
            uint otherEnd = i + 1 < other.Count ? other[i + 1].Start : otherTail;
            common = Math.Min(end, otherEnd);
            if (end != otherEnd)
                break;
        }
        return common;
    }
}
