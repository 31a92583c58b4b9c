using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Replicas;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// Makes room for new writers in a file that knows as many as it may, by forgetting those that were idle for longest. Forgetting one that could come back would
/// let its sequences begin again. So it has three steps: 1: who was idle for longer than the time to live is asked of the table; 2: the master makes sure,
/// durably, that nobody can resume them under their names; 3: an EVICT frame for each goes through the log, so that all replicas forget alike.
/// </summary>
internal sealed class WriterEviction(Primary primary, Replica replica, ReplicaServices services, CancellationToken ended)
{
    private const int AtATime = 256;

    private bool _isUnderWay;

    /// <summary>False: every writer was active not long ago. True: room is being made.</summary>
    public bool TryBegin()
    {
        if (_isUnderWay)
            return true;
        long before = services.Time.GetUtcNow().ToUnixTimeMilliseconds() - (long)services.Options.WriterTimeToLive.TotalMilliseconds;
        var idle = replica.Log.Table.IdleSince(before, AtATime);
        if (idle.Count == 0)
            return false;
        _isUnderWay = true;
        _ = AskAsync(idle);
        return true;
    }

    private async Task AskAsync(IReadOnlyList<(WriterId Writer, uint Epoch)> idle)
    {
        var request = new ExpireWritersRequest { Handle = replica.Handle.Value, Version = primary.Ballot.Version, Sender = services.Self().Value };
        request.Writers.AddRange(idle.Select(w => w.Writer.Value));
        var result = await services.Master.CallAsync(MessageKind.ExpireWriters, request, Payload.Empty, services.Options.VoteTimeout * 2, ended);
        result.Payload.Release();
        bool expired = result.IsAnswered && result.Answer<ExpireWritersReply>().Status == Status.Ok;
        replica.Post(new WritersExpired(primary, idle, expired));
    }

    /// <summary>Those of the asked that may be forgotten. Not one that introduced itself again meanwhile.</summary>
    public IReadOnlyList<(WriterId Writer, uint Epoch)> Take(WritersExpired answer)
    {
        _isUnderWay = false;
        if (!answer.Expired)
            return [];
        var evicted = answer.Asked.Where(w => replica.Log.Table.TryGet(w.Writer, out var entry) && entry.Epoch == w.Epoch).ToList();
        services.Logger.WritersEvicted(replica.Handle, evicted.Count);
        return evicted;
    }
}
