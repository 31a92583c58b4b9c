using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol.Identity;

namespace Semel.ChunkServer.Replicas;

/// <summary>The replicas of this server, and which of them the master should hear about. Thread-safe.</summary>
internal sealed class ReplicaRegistry
{
    private readonly ConcurrentDictionary<ChunkHandle, Replica> _replicas = new();
    private readonly Lock _gate = new();
    private SortedSet<ChunkHandle> _changed = []; // guarded by _gate

    public int Count => _replicas.Count;

    public bool TryGet(ChunkHandle handle, [NotNullWhen(true)] out Replica? replica) => _replicas.TryGetValue(handle, out replica);

    public void Add(Replica replica)
    {
        _replicas[replica.Handle] = replica;
        Changed(replica.Handle);
    }

    public void Remove(ChunkHandle handle)
    {
        _replicas.TryRemove(handle, out _);
        Changed(handle);
    }

    public void Changed(ChunkHandle handle)
    {
        lock (_gate)
            _changed.Add(handle);
    }

    /// <summary>In the order of their handles.</summary>
    public IReadOnlyList<Replica> All() => [.. _replicas.Values.OrderBy(r => r.Handle)];

    /// <summary>The handles that changed since the last call, in order.</summary>
    public IReadOnlyCollection<ChunkHandle> TakeChanged()
    {
        lock (_gate)
        {
            var taken = _changed;
            _changed = [];
            return taken;
        }
    }
}
