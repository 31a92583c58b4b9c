using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Servers;

internal enum OrderKind
{
    Delete = 1,
    Clone = 2,
    ConfirmSeal = 3,
}

/// <summary>Something that a chunk server shall do with its replica of a chunk.</summary>
internal sealed record Order(ChunkHandle Handle, OrderKind Kind, Command Command)
{
    /// <summary>Timestamp before which it is not sent.</summary>
    public long NotBefore { get; init; }

    /// <summary>How often it has failed.</summary>
    public int Failures { get; init; }

    /// <param name="handle">The replica of this chunk.</param>
    /// <param name="onlyIfPromisedBelow">Not one that has seen this version or a higher one.</param>
    /// <param name="onlyIfCommittedBelow">Not one that knows so many bytes or more to be committed. 0: however many.</param>
    public static Order Delete(ChunkHandle handle, ulong onlyIfPromisedBelow, uint onlyIfCommittedBelow = 0) => new(handle, OrderKind.Delete, new Command
    {
        DeleteChunk = new DeleteChunk { Handle = handle.Value, OnlyIfPromisedBelow = onlyIfPromisedBelow, OnlyIfCommittedBelow = onlyIfCommittedBelow },
    });

    public static Order CopyHere(CloneChunk clone) => new(new ChunkHandle(clone.Handle), OrderKind.Clone, new Command { CloneChunk = clone });

    public static Order ConfirmSeal(ChunkHandle handle, ulong version, uint length, ulong sealBallot) => new(handle, OrderKind.ConfirmSeal, new Command
    {
        ConfirmSeal = new ConfirmSeal { Handle = handle.Value, Version = version, Length = length, SealBallot = sealBallot },
    });
}

/// <summary>
/// Commands for one chunk server. At most one at a time concerns a chunk: a deletion must never meet the copy that replaces what it
/// deletes. A command that was sent is sent again, with the same id, until its result is in.
/// </summary>
internal sealed class CommandQueue
{
    /// <summary>Commands that a server works on at a time.</summary>
    public const int MaxIssued = 100;

    private readonly SortedDictionary<ulong, Order> _waiting = [];   // by handle
    private readonly SortedDictionary<ulong, Order> _issued = [];    // by command id
    private readonly HashSet<ulong> _issuedHandles = [];

    public int Count => _waiting.Count + _issued.Count;

    public bool Has(ChunkHandle handle) => _waiting.ContainsKey(handle.Value) || _issuedHandles.Contains(handle.Value);

    /// <summary>False: another command concerns the chunk already.</summary>
    public bool TryAdd(Order order) => !_issuedHandles.Contains(order.Handle.Value) && _waiting.TryAdd(order.Handle.Value, order);

    /// <summary>What the next heartbeat's reply carries.</summary>
    public IReadOnlyList<Command> Take(long now, Func<ulong> nextId)
    {
        if (_waiting.Count > 0 && _issued.Count < MaxIssued)
        {
            foreach (var order in _waiting.Values.Where(o => o.NotBefore <= now).Take(MaxIssued - _issued.Count).ToList())
            {
                _waiting.Remove(order.Handle.Value);
                order.Command.CommandId = nextId();
                _issued.Add(order.Command.CommandId, order);
                _issuedHandles.Add(order.Handle.Value);
            }
        }
        return [.. _issued.Values.Select(o => o.Command)];
    }

    /// <summary>The order that a result belongs to; null when it was answered before.</summary>
    public Order? TakeResult(ulong commandId)
    {
        if (!_issued.Remove(commandId, out var order))
            return null;
        _issuedHandles.Remove(order.Handle.Value);
        return order;
    }

    /// <summary>The server was started anew: it knows none of its commands and will report what it has.</summary>
    public void Clear()
    {
        _waiting.Clear();
        _issued.Clear();
        _issuedHandles.Clear();
    }
}
