using Semel.Master.Chunks;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Identity;

namespace Semel.Master.Repair;

/// <summary>
/// An open chunk whose file nobody writes must not wait for a writer to notice that its members die one after the other: a small file is
/// its open chunk. When a member has been away for the grace of repair and another server can take a copy, a view change leaves the member
/// out; the chunk is then ended, and copied as any sealed chunk is.
/// </summary>
/// <remarks>
/// It looks at the sets of members that open chunks share, not at chunks: while all servers are alive it costs nothing, however many chunks
/// there are.
/// </remarks>
internal sealed class OpenChunkRepair(MasterServices services, ServerRegistry servers, Placement placement, ViewChanges views)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(10);
    private const int MostDoublings = 5;

    private readonly SortedSet<ulong> _running = [];
    private readonly Dictionary<ulong, Attempt> _attempts = [];     // of chunks that still have the member that is away

    /// <summary>Open chunks with a member that is not alive, or with fewer members than their files want replicas.</summary>
    public int LackingCount()
    {
        int count = services.State.ShortOpenChunks.Values.Count(c => c.Members.All(servers.IsAlive));
        foreach (var (members, handles) in services.State.OpenChunksByMembers)
        {
            if (!members.All(servers.IsAlive))
                count += handles.Count;
        }
        return count;
    }

    /// <summary>Begins view changes where they are due, as many at a time as may run; those with the fewest living members first.</summary>
    public void Tick()
    {
        var away = servers.All.Where(IsAway).Select(s => s.Id).ToHashSet();
        if (away.Count == 0)
        {
            _attempts.Clear();
            return;
        }
        if (servers.AliveCount == 0)
            return;
        var sets = services.State.OpenChunksByMembers.Keys
            .Where(m => m.Any(away.Contains))
            .Select(m => (Members: m, Living: m.Count(servers.IsAlive)))
            .Where(m => m.Living > 0)
            .OrderBy(m => m.Living);
        foreach (var (members, _) in sets.ToList())
        {
            foreach (ulong handle in services.State.OpenChunksByMembers.TryGetValue(members, out var handles) ? handles.ToList() : [])
            {
                if (_running.Count >= services.Options.ParallelViewChanges)
                    return;
                var chunk = services.State.FindChunk(new ChunkHandle(handle))!;
                if (IsDue(chunk))
                    Begin(chunk, members.First(away.Contains));
            }
        }
    }

    private bool IsAway(KnownServer server) => !server.IsAlive && services.Since(server.HeardAt) >= services.Options.DeadAfter + services.Options.RepairGrace;

    /// <summary>
    /// Without another server to take a copy nothing is gained. One that waits for its members is tried again by those who wait.
    /// </summary>
    private bool IsDue(Chunk chunk) => !views.IsRunning(chunk) && !views.IsPutAside(chunk)
        && (!_attempts.TryGetValue(chunk.Handle.Value, out var attempt) || services.Now >= attempt.NotBefore)
        && placement.SparesFor(chunk.Members, chunk.File.Settings.ChunkCapacity) > 0;

    private void Begin(Chunk chunk, ServerId away)
    {
        _running.Add(chunk.Handle.Value);
        services.Run(WatchAsync(chunk, views.Start(chunk, $"member {away} has been away for {(long)services.Since(servers.Get(away).HeardAt).TotalSeconds} s")));
    }

    private async Task WatchAsync(Chunk chunk, Task change)
    {
        await change;
        _running.Remove(chunk.Handle.Value);
        if (chunk.IsGone || chunk.IsSealed || chunk.Members.All(servers.IsAlive))
            _attempts.Remove(chunk.Handle.Value);
        else
        {
            // It answers, though the master hears nothing of it.
            if (!_attempts.TryGetValue(chunk.Handle.Value, out var attempt))
                _attempts.Add(chunk.Handle.Value, attempt = new Attempt());
            attempt.NotBefore = services.Now + services.TimestampsIn(FirstPause * (1 << Math.Min(attempt.Count++, MostDoublings)));
        }
        Tick();
    }

    private sealed class Attempt
    {
        public int Count { get; set; }
        public long NotBefore { get; set; }
    }
}
