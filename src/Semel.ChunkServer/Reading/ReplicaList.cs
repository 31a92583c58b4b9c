using Semel.ChunkServer.Replicas;
using Semel.Protocol.Messages;

namespace Semel.ChunkServer.Reading;

/// <summary>
/// Tells which replicas this server has, whatever the master thinks: a copy that nobody counts on may be the one that proves a loss.
/// </summary>
internal static class ReplicaList
{
    private const int MaxPage = 10_000;

    public static ListReplicasReply Page(ReplicaRegistry replicas, ListReplicasRequest request)
    {
        int limit = (int)Math.Clamp(request.Limit, 1, MaxPage);
        var reply = new ListReplicasReply { Status = Status.Ok };
        foreach (var replica in replicas.All())
        {
            if (replica.Handle.Value <= request.After || (request.FileId != 0 && replica.Log.Chunk.File.Value != request.FileId))
                continue;
            if (reply.Replicas.Count == limit)
            {
                reply.More = true;
                break;
            }
            reply.Replicas.Add(new HeldReplica { Report = replica.Report, FileId = replica.Log.Chunk.File.Value, Index = replica.Log.Chunk.Index });
        }
        return reply;
    }
}
