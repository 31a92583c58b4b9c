using Semel.Master.Namespace;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Scheduling;

namespace Semel.Master.Chunks;

/// <summary>Answers where chunks are, to those who append and to those who read.</summary>
internal sealed class ChunkLocator(
    MasterServices services, ServerRegistry servers, ActivityTable activities, NamespaceCalls names, ChunkMaker maker, ViewChanges views)
{
    private const uint DefaultLimit = 100;
    private const uint MaxLimit = 1000;

    /// <summary>Longest wait of one call; the caller asks again.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The chunk that takes appends. Makes one if there is none; replaces its primary if the caller could not reach it; waits for either as
    /// long as the caller does.
    /// </summary>
    public async Task<LocateTailReply> LocateTailAsync(LocateTailRequest request, long arrivedAt, TimeSpan timeLeft, CancellationToken callerGone)
    {
        var wait = (timeLeft < LongestWait ? timeLeft : LongestWait) * 0.9;
        bool mayComplain = request.SuspectHandle != 0;
        while (true)
        {
            if (names.FindFile(request.Path, request.FileId, out var file) is { } refusal)
                return new LocateTailReply { Status = refusal.Status, Detail = refusal.Detail };
            var activity = activities.Of(file);
            activity.UsedAt = services.Now;
            var tail = file.Tail;
            if (tail is null && !request.Create)
                return Found(file, null);
            bool complains = mayComplain && tail is { IsSealed: false } && tail.Handle.Value == request.SuspectHandle && tail.Version == request.SuspectVersion
                && (activity.GrantedAt is not { } granted || services.Since(granted) >= services.Options.ComplaintPause);
            mayComplain = false;
            if (tail is { IsSealed: false } && !complains && !views.IsNeeded(tail))
                return Found(file, tail);

            if (services.Standing.Refutation is { } refutation)
                return new LocateTailReply { Status = Status.Unavailable, Detail = refutation, FileId = file.Id.Value };
            var rest = wait - services.Since(arrivedAt);
            activity.Waiters++;
            try
            {
                var work = tail is { IsSealed: false }
                    ? views.Start(tail, complains ? "a client got no answer from its primary" : "somebody wants to append and it has no primary", avoidPrimary: complains)
                    : maker.Start(file);
                if (rest > TimeSpan.Zero && !callerGone.IsCancellationRequested)
                    await work.WithinAsync(rest, services.Time, callerGone);
            }
            catch (Exception e) when (e is TimeoutException or OperationCanceledException)
            {
                services.Stopping.ThrowIfCancellationRequested();
                rest = TimeSpan.Zero;
            }
            finally
            {
                activity.Waiters--;
            }
            if (rest <= TimeSpan.Zero || callerGone.IsCancellationRequested)
                return Unavailable(file);
        }
    }

    public LocateChunksReply LocateChunks(LocateChunksRequest request)
    {
        if (names.FindFile(request.Path, request.FileId, out var file) is { } refusal)
            return new LocateChunksReply { Status = refusal.Status, Detail = refusal.Detail };
        if (request.Limit > MaxLimit)
            return new LocateChunksReply { Status = Status.Invalid, Detail = $"The limit {request.Limit} is out of its range: 1 to {MaxLimit}." };
        var reply = new LocateChunksReply
        {
            Status = Status.Ok,
            FileId = file.Id.Value,
            ChunkCapacity = file.Settings.ChunkCapacity,
            ChunkCount = (ulong)file.ChunkCount,
        };
        int limit = (int)(request.Limit == 0 ? DefaultLimit : request.Limit);
        if (request.FirstIndex < (ulong)file.ChunkCount)
            reply.Chunks.AddRange(file.Chunks.Skip((int)request.FirstIndex).Take(limit).Select(Locate));
        return reply;
    }

    /// <summary>Where the chunk is; servers that are alive come first.</summary>
    private ChunkLocation Locate(Chunk chunk)
    {
        var location = new ChunkLocation
        {
            Handle = chunk.Handle.Value,
            Index = chunk.Index,
            Version = chunk.Version,
            Primary = servers.Address(chunk.Primary),
            Sealed = chunk.IsSealed,
            SealedLength = chunk.SealedLength,
        };
        if (views.SettledEndOf(chunk) is { } end)
            location.SettledEnd = end;
        var holders = chunk.Holders;
        location.Members.AddRange(holders.OrderByDescending(servers.IsAlive).Select(servers.Address));
        return location;
    }

    private LocateTailReply Found(FileNode file, Chunk? tail) => new()
    {
        Status = Status.Ok,
        FileId = file.Id.Value,
        ChunkCapacity = file.Settings.ChunkCapacity,
        Durability = file.Settings.Durability,
        Chunk = tail is null ? null : Locate(tail),
    };

    private LocateTailReply Unavailable(FileNode file)
    {
        if (services.Standing.Withholds is { } withholds)
            return new LocateTailReply { Status = Status.Unavailable, Detail = withholds, FileId = file.Id.Value };
        string reason = file.Tail is { IsSealed: false } tail
            ? $"Chunk {tail.Handle} of {file.Path} is not available: {views.ProblemOf(tail)}."
            : $"The next chunk of {file.Path} cannot be made: {maker.ProblemOf(file) ?? "the chunk servers have not answered yet"}.";
        string detail = reason + " Nothing was changed; ask again, the master keeps trying.";
        return new LocateTailReply { Status = Status.Unavailable, Detail = detail, FileId = file.Id.Value };
    }
}
