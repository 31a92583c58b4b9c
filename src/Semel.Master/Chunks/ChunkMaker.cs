using Microsoft.Extensions.Logging;
using Semel.Master.Namespace;
using Semel.Master.OperationLog;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master.Chunks;

/// <summary>Makes the next chunk of a file whose last one is sealed, or which has none. At most one at a time for a file.</summary>
internal sealed class ChunkMaker(
    MasterServices services, ServerRegistry servers, ActivityTable activities, HandleAllocator handles, Placement placement, Granting granting, ViewChanges views)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    /// <summary>A server that could not make a replica is the last choice for this long, and longer each time.</summary>
    private static readonly TimeSpan UnfitFor = TimeSpan.FromSeconds(4);

    private readonly SortedDictionary<ulong, Making> _running = [];
    private readonly SortedSet<ulong> _beingMade = [];
    private readonly Slots _slots = new(services.Options.ParallelChunkMaking);

    /// <summary>Handles of replicas that exist, or may, before their chunk does.</summary>
    public bool IsBeingMade(ChunkHandle handle) => _beingMade.Contains(handle.Value);

    public IReadOnlySet<ulong> BeingMade() => new SortedSet<ulong>(_beingMade);

    public string? ProblemOf(FileNode file) => _running.TryGetValue(file.Id.Value, out var making) ? making.Problem : null;

    /// <summary>
    /// Begins to make the file's next chunk, or joins who does. Ends when there is one that takes appends, or when nobody waits for it any
    /// more.
    /// </summary>
    public Task Start(FileNode file)
    {
        if (_running.TryGetValue(file.Id.Value, out var making))
            return making.Ended;
        _running.Add(file.Id.Value, making = new Making(file));
        making.Ended = RunAsync(making);
        services.Run(making.Ended);
        return making.Ended;
    }

    private static bool IsWanted(FileNode file) => !file.IsDeleted && file.Tail is null or { IsSealed: true };

    private async Task RunAsync(Making making)
    {
        var file = making.File;
        try
        {
            await Task.Yield();
            for (var pause = FirstPause; IsWanted(file); pause = Longer(pause))
            {
                await services.Standing.ConfirmedAsync(services.Stopping);
                // Servers that get all at once would finish none in time.
                await _slots.TakeAsync();
                Task? replacement = null;
                string? problem = null;
                try
                {
                    if (IsWanted(file))
                        (problem, replacement) = await TryOnceAsync(file);
                }
                finally
                {
                    _slots.Return();
                }
                if (replacement is not null)
                    await replacement;
                if (problem is null)
                    return;
                if (making.Problem is null)
                    services.Logger.ChunkNotMade(file.Id, problem);
                making.Problem = problem;
                if (!activities.IsWaitedFor(file))
                    return;
                await servers.Changed.WaitAsync(services.Jittered(pause), services.Time, services.Stopping);
            }
        }
        finally
        {
            _running.Remove(file.Id.Value);
        }
    }

    /// <summary>
    /// One attempt. 1: a handle. 2: replicas on as many servers as the file wants; where one fails, another takes its place. 3: when enough
    /// hold one durably, the chunk is logged: now it exists. 4: its primary is told.
    /// </summary>
    /// <returns>Its problem, null when it succeeded; and the view change that goes on with the chunk, if its first primary did not take
    /// over.</returns>
    private async Task<(string? Problem, Task? Replacement)> TryOnceAsync(FileNode file)
    {
        int wanted = file.Settings.Replicas;
        int enough = Math.Min(wanted, services.Options.MinMembers);
        var previous = file.Tail;
        if (servers.AliveCount < enough)
            return ($"{servers.AliveCount} chunk servers are alive, {enough} are needed", null);

        // Step 1: a handle that nobody ever had.
        var handle = await handles.NextAsync();
        ulong creation = (ulong)services.Random.NextInt64(1, long.MaxValue);
        bool isTaken = false;
        _beingMade.Add(handle.Value);
        var tried = new SortedSet<ServerId>();
        var made = new List<ServerId>();
        Chunk? chunk = null;
        try
        {
            // Step 2: replicas.
            var running = new List<Task<ServerId?>>();
            string? failure = null;
            while (true)
            {
                foreach (var server in isTaken ? [] : placement.Choose(wanted - made.Count - running.Count, file.Settings.ChunkCapacity, previous?.Members ?? ServerSet.Empty, tried))
                {
                    tried.Add(server.Id);
                    running.Add(CreateAtAsync(server, RequestFor(file, handle, creation, previous), (status, problem) =>
                    {
                        failure = problem;
                        if (status != Status.Conflict)
                            return;
                        // What is there is somebody else's, and stays. The next attempt takes another handle.
                        isTaken = true;
                        tried.Remove(server.Id);
                        services.Logger.HandleIsTaken(server.Id, server.Address, handle, problem);
                    }));
                }
                if (running.Count == 0)
                    break;
                var ended = await Task.WhenAny(running);
                running.Remove(ended);
                if (await ended is { } holder)
                    made.Add(holder);
            }
            if (!IsWanted(file) || file.Tail != previous)
                return (null, null);
            if (isTaken || !services.Standing.IsConfirmed)
                return (failure ?? services.Standing.Withholds, null);
            if (made.Count < enough)
                return ($"{made.Count} of {tried.Count} chunk servers that were asked hold a replica, {enough} are needed" + (failure is null ? "" : $"; {failure}"), null);

            // Step 3: the chunk exists.
            var primary = previous is not null && made.Contains(previous.Primary) ? previous.Primary : placement.LeastBurdened(made);
            var added = new ChunkAdded { Handle = handle.Value, FileId = file.Id.Value, Index = (ulong)file.ChunkCount, Primary = primary.Value, CreationId = creation };
            added.Members.AddRange(made.Order().Select(m => m.Value));
            services.Journal.Append(new LogEntry { ChunkAdded = added });
            chunk = file.Tail!;
            services.Logger.ChunkAdded(handle, file.Id, chunk.Index, chunk.Members, primary);
            await services.Journal.DurableAsync();
        }
        finally
        {
            _beingMade.Remove(handle.Value);
            DropLeftovers(handle, tried, chunk);
        }

        // Step 4: its primary.
        if (chunk.IsSealed || views.IsRunning(chunk))
            return (null, null);
        string? refusal = await granting.GrantAsync(chunk, seal: false, promise: null);
        if (refusal is null)
            activities.Of(file).GrantedAt = services.Now;
        else if (!chunk.IsGone && !chunk.IsSealed)
        {
            services.Logger.GrantRefused(chunk.Primary, handle, chunk.Version, refusal);
            return (null, views.Start(chunk, "its first primary did not take over", accused: chunk.Primary));
        }
        return (null, null);
    }

    private CreateChunkRequest RequestFor(FileNode file, ChunkHandle handle, ulong creation, Chunk? previous)
    {
        var request = new CreateChunkRequest
        {
            MasterEpoch = services.State.Epoch,
            MasterNonce = services.State.Nonce,
            CreationId = creation,
            Handle = handle.Value,
            FileId = file.Id.Value,
            Index = (ulong)file.ChunkCount,
            Capacity = file.Settings.ChunkCapacity,
            Durability = file.Settings.Durability,
        };
        if (previous is not null)
        {
            request.Base = new ChunkBase { PreviousHandle = previous.Handle.Value, PreviousLength = previous.SealedLength, Digest = file.BaseDigest };
            request.Base.Sources.AddRange(previous.Holders.OrderByDescending(servers.IsAlive).Select(servers.Address));
        }
        return request;
    }

    private async Task<ServerId?> CreateAtAsync(KnownServer server, CreateChunkRequest request, Action<Status, string> failed)
    {
        request.ServerId = server.Id.Value;
        var result = await services.Wire.LinkTo(server.Address)
            .CallAsync(MessageKind.CreateChunk, request, Payload.Empty, services.Options.CallTimeout, services.Stopping);
        result.Payload.Release();
        server.WasAskedToCreate(result.IsAnswered && result.Answer<CreateChunkReply>().Status == Status.Ok, services.Now, services.TimestampsIn(UnfitFor));
        if (result.IsAnswered && result.Answer<CreateChunkReply>() is { } reply)
        {
            if (reply.Status == Status.Ok)
                return server.Id;
            failed(reply.Status, $"{server.Id} at {server.Address} answered {reply.Status}: {reply.Detail}");
            return null;
        }
        failed(Status.Unavailable, $"{server.Id} at {server.Address} did not answer ({result.Outcome}: {result.Detail})");
        return null;
    }

    /// <summary>
    /// Replicas that were made, or may have been, for nothing. Their servers may have reported them while that was not clear yet.
    /// </summary>
    private void DropLeftovers(ChunkHandle handle, SortedSet<ServerId> tried, Chunk? chunk)
    {
        foreach (var id in tried)
        {
            if (chunk is null || !chunk.Members.Contains(id))
                servers.Get(id).Commands.TryAdd(Order.Delete(handle, onlyIfPromisedBelow: 1));
        }
    }

    private TimeSpan Longer(TimeSpan pause) => pause * 2 < services.Options.LongestRetryPause ? pause * 2 : services.Options.LongestRetryPause;

    private sealed class Making(FileNode file)
    {
        public FileNode File => file;
        public Task Ended { get; set; } = Task.CompletedTask;
        public string? Problem { get; set; }
    }
}
