using System.Collections;
using Semel.Protocol.Identity;

namespace Semel.Master.Chunks;

/// <summary>A few servers, in the order of their ids. Immutable, so that all chunks on the same servers share one.</summary>
internal sealed class ServerSet : IEquatable<ServerSet>, IReadOnlyList<ServerId>
{
    public static readonly ServerSet Empty = new([]);

    private readonly ServerId[] _ids;

    private ServerSet(ServerId[] ids) => _ids = ids;

    public static ServerSet Of(IEnumerable<ServerId> ids)
    {
        var sorted = ids.Distinct().Order().ToArray();
        return sorted.Length == 0 ? Empty : new ServerSet(sorted);
    }

    public int Count => _ids.Length;
    public ServerId this[int index] => _ids[index];

    public bool Contains(ServerId id) => Array.BinarySearch(_ids, id) >= 0;

    public ServerSet With(ServerId id) => Contains(id) ? this : Of(_ids.Append(id));

    public ServerSet Without(ServerId id) => Contains(id) ? Of(_ids.Where(i => i != id)) : this;

    public IEnumerator<ServerId> GetEnumerator() => ((IEnumerable<ServerId>)_ids).GetEnumerator();
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(ServerSet? other) => other is not null && _ids.AsSpan().SequenceEqual(other._ids);
    public override bool Equals(object? obj) => Equals(obj as ServerSet);

    public override int GetHashCode()
    {
        ulong hash = 0;
        foreach (var id in _ids)
            hash = (hash * 0x9E3779B97F4A7C15) + id.Value;
        return hash.GetHashCode();
    }

    public override string ToString() => string.Join(' ', _ids);
}

/// <summary>Keeps one <see cref="ServerSet"/> of each kind.</summary>
internal sealed class ServerSetPool
{
    private readonly Dictionary<ServerSet, ServerSet> _sets = [];

    public ServerSet Share(ServerSet set)
    {
        if (_sets.TryGetValue(set, out var shared))
            return shared;
        _sets.Add(set, set);
        return set;
    }
}
