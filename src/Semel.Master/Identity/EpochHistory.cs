using Semel.Protocol;

namespace Semel.Master.Identity;

/// <summary>What a chunk server remembers of the master that it served last.</summary>
/// <param name="Epoch">0: it never served one.</param>
/// <param name="Nonce">0: not known.</param>
/// <param name="Position">So many entries of that master's log were durable.</param>
internal readonly record struct SeenMaster(ulong Epoch, ulong Nonce, ulong Position);

/// <summary>
/// The epochs that the operation log began, in order. Each belongs to one master, so whoever remembers one that is not here, or more
/// entries of one than are here, has seen what this log lacks: the log is an older copy, has lost its last entries, or another master runs
/// on a copy of it.
/// </summary>
internal sealed class EpochHistory
{
    private readonly List<BegunEpoch> _begun = [];

    /// <summary>What was seen of lower epochs, and is not in the log, was given up by the operator.</summary>
    public ulong AcceptedBelow { get; private set; }

    /// <param name="epoch">Higher than all before.</param>
    /// <param name="nonce">0: an older version of Semel began it.</param>
    /// <param name="entry">Number of the entry that says so.</param>
    /// <param name="acceptsLoss">The operator gave up what is not in the log.</param>
    public void Begin(ulong epoch, ulong nonce, ulong entry, bool acceptsLoss)
    {
        Invariant.Holds(_begun.Count == 0 || epoch > _begun[^1].Epoch);
        _begun.Add(new BegunEpoch(epoch, nonce, entry));
        if (acceptsLoss)
            AcceptedBelow = epoch;
    }

    public bool Knows(ulong epoch) => IndexOf(epoch) >= 0;

    /// <summary>Null: the log has what was seen. Otherwise what it lacks, as a clause.</summary>
    /// <param name="seen">What a chunk server remembers.</param>
    /// <param name="last">Number of the log's last entry.</param>
    public string? LackOf(SeenMaster seen, ulong last)
    {
        if (seen.Epoch < AcceptedBelow || seen.Epoch == 0)
            return null;
        int at = IndexOf(seen.Epoch);
        if (at < 0)
            return $"it has served a master of epoch {seen.Epoch} up to entry {seen.Position}, and this log has no such epoch: it ends in epoch {_begun[^1].Epoch} with entry {last}";
        var begun = _begun[at];
        if (begun.Nonce != seen.Nonce && begun.Nonce != 0 && seen.Nonce != 0)
            return $"it has served another master of epoch {seen.Epoch} up to entry {seen.Position}; this one began that epoch with entry {begun.Entry}";
        ulong end = at + 1 < _begun.Count ? _begun[at + 1].Entry - 1 : last;
        return seen.Position <= end ? null
            : $"it has heard of entry {seen.Position} in epoch {seen.Epoch}, and in this log the epoch ends with entry {end}";
    }

    private int IndexOf(ulong epoch)
    {
        int low = 0, high = _begun.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            if (_begun[middle].Epoch == epoch)
                return middle;
            if (_begun[middle].Epoch < epoch)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return -1;
    }

    private readonly record struct BegunEpoch(ulong Epoch, ulong Nonce, ulong Entry);
}
