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
    MasterServices services, ServerRegistry servers, HandleAllocator handles, ChunkMaker maker, ViewChanges views, Rereplication repair)
{
    public void Take(KnownServer server, ChunkReport report)
    {
        var handle = new ChunkHandle(report.Handle);
        var chunk = services.State.FindChunk(handle);
        switch (ReplicaJudge.Judge(chunk, maker.IsBeingMade(handle), handles.Next, chunk is not null && views.IsRunning(chunk), server.Id, report))
        {
            case ReplicaVerdict.Good:
                repair.HasGood(chunk!, server.Id);
                break;
            case ReplicaVerdict.Unconfirmed:
                if (report.EndsInSeal)
                    server.Commands.TryAdd(Order.ConfirmSeal(handle, chunk!.Version, chunk.SealedLength));
                break;
            case ReplicaVerdict.Lost:
                TakeLost(server, chunk!, report.Damaged);
                break;
            case ReplicaVerdict.Garbage:
                Delete(server, handle, ulong.MaxValue);
                break;
            case ReplicaVerdict.Outdated:
                Delete(server, handle, chunk!.IsSealed ? chunk.Reserved + 1 : chunk.Version);
                break;
            case ReplicaVerdict.FromTheFuture:
                services.Logger.ReplicaFromTheFuture(server.Id, handle);
                break;
            case ReplicaVerdict.InUse:
                break;
        }
    }

    /// <summary>The server's full report did not name a chunk that it should have.</summary>
    public void TakeMissing(KnownServer server, Chunk chunk)
    {
        if (chunk.IsSealed ? chunk.Replicas.Contains(server.Id) : chunk.Members.Contains(server.Id))
            TakeLost(server, chunk, isDamaged: false);
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

    private void TakeLost(KnownServer server, Chunk chunk, bool isDamaged)
    {
        if (isDamaged)
            services.Logger.ReplicaDamaged(chunk.Handle, server.Id);
        else if (chunk.IsSealed ? chunk.Replicas.Contains(server.Id) : chunk.Members.Contains(server.Id))
            services.Logger.ReplicaLost(server.Id, chunk.Handle);
        if (!chunk.IsSealed)
        {
            views.Start(chunk, $"member {server.Id} has no good replica any more", accused: server.Id);
            return;
        }
        repair.HasNone(chunk, server.Id);
        // What is left of it may be all that is left: it goes only when there is a good one.
        if (isDamaged && repair.Live(chunk) > 0)
            Delete(server, chunk.Handle, chunk.Reserved + 1);
    }

    private void Delete(KnownServer server, ChunkHandle handle, ulong onlyIfPromisedBelow)
    {
        if (server.Commands.TryAdd(Order.Delete(handle, onlyIfPromisedBelow)))
            services.Logger.DeleteOrdered(server.Id, handle);
    }
}
