using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.Repair;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Garbage;

/// <summary>Follows the chunk servers' reports: remembers who has what, and has deleted what nobody needs.</summary>
internal sealed class GarbageCollection(
    MasterServices services, ServerRegistry servers, HandleAllocator handles, ChunkMaker maker, ViewChanges views, Rereplication repair, LossProofs proofs)
{
    public void Take(KnownServer server, ChunkReport report)
    {
        var handle = new ChunkHandle(report.Handle);
        var chunk = services.State.FindChunk(handle);
        var verdict = ReplicaJudge.Judge(chunk, maker.IsBeingMade(handle), services.State.WasAdded(handle), MayBeLeftover(handle), server.Id, report);
        if (chunk is not null && !report.Gone && verdict is not (ReplicaVerdict.Good or ReplicaVerdict.InUse) && proofs.Has(handle, server.Id))
            verdict = ReplicaVerdict.ProvesLoss;
        switch (verdict)
        {
            case ReplicaVerdict.ProvesLoss:
                proofs.Take(chunk!, server.Id, Math.Max(report.Committed, report.OnceCommitted));
                if (chunk!.IsSealed)
                    repair.HasNone(chunk, server.Id);
                break;
            case ReplicaVerdict.Good:
                repair.HasGood(chunk!, server.Id);
                break;
            case ReplicaVerdict.Unconfirmed:
                repair.IsUnconfirmed(chunk!, server.Id);
                break;
            case ReplicaVerdict.Lost:
                TakeLost(server, chunk!, report.Damaged || report.Suspect, report.Tail, nothingVerifies: report.Damaged && report.Tail == 0);
                break;
            case ReplicaVerdict.Garbage:
                Delete(server, handle, ulong.MaxValue);
                break;
            case ReplicaVerdict.Outdated:
                // It may have had a good one: an older copy of its data directory was put back.
                if (chunk!.IsSealed)
                    repair.HasNone(chunk, server.Id);
                else
                    proofs.Compare(chunk, server.Id, report);
                repair.HasOutdated(chunk!, server.Id, report.Tail);
                break;
            case ReplicaVerdict.NeverUsed:
                Delete(server, handle, chunk!.Reserved + 1);
                break;
            case ReplicaVerdict.FromTheFuture:
                services.Logger.ReplicaFromTheFuture(server.Id, handle, report.Tail);
                services.Standing.TakeUnknownReplica(server.Id, server.Address, handle);
                break;
            case ReplicaVerdict.Foreign:
                services.Logger.ReplicaForeign(server.Id, handle, report.Tail);
                TakeMissing(server, chunk!);
                break;
            case ReplicaVerdict.InUse:
                // The primary's own word is on its way, unless there is no primary any more.
                if (chunk is { IsSealed: false } && report.Sealed)
                    views.ExpectSeal(chunk);
                break;
        }
    }

    /// <summary>The server's full report did not name a chunk that it should have.</summary>
    public void TakeMissing(KnownServer server, Chunk chunk)
    {
        if (chunk.IsSealed ? chunk.Replicas.Contains(server.Id) : chunk.Members.Contains(server.Id))
            TakeLost(server, chunk, isDamaged: false, tail: 0, nothingVerifies: false);
    }

    /// <summary>The chunks of deleted files: servers that are not here now will report theirs when they register.</summary>
    public void DeleteAll(IEnumerable<Chunk> chunks)
    {
        foreach (var chunk in chunks)
        {
            foreach (var id in chunk.Members.Union(chunk.Replicas))
                Delete(servers.Get(id), chunk.Handle, ulong.MaxValue);
        }
    }

    private bool MayBeLeftover(ChunkHandle handle) => handle.Value < handles.Next && services.State.MayHaveGiven(handle);

    private void TakeLost(KnownServer server, Chunk chunk, bool isDamaged, uint tail, bool nothingVerifies)
    {
        if (isDamaged)
            services.Logger.ReplicaDamaged(chunk.Handle, server.Id);
        else if (chunk.IsSealed ? chunk.Replicas.Contains(server.Id) : chunk.Members.Contains(server.Id))
            services.Logger.ReplicaLost(server.Id, chunk.Handle);
        if (!chunk.IsSealed)
        {
            // A damaged one says so itself when it is asked; one whose disk fails may be whole.
            string reason = $"member {server.Id} has no good replica any more";
            _ = isDamaged ? views.Start(chunk, reason, accused: server.Id) : views.Start(chunk, reason, lost: server.Id);
            return;
        }
        repair.HasNone(chunk, server.Id);
        if (isDamaged)
            repair.HasOutdated(chunk, server.Id, tail, nothingVerifies);
    }

    private void Delete(KnownServer server, ChunkHandle handle, ulong onlyIfPromisedBelow)
    {
        if (server.Commands.TryAdd(Order.Delete(handle, onlyIfPromisedBelow)))
            services.Logger.DeleteOrdered(server.Id, handle);
    }
}
