using Semel.Master.Chunks;
using Semel.Master.Servers;
using Semel.Protocol.Identity;

namespace Semel.Master.Views;

/// <summary>
/// For how long an open chunk waits for a member before it goes on with fewer than its floor. A chunk that shrinks to the first server that
/// is up hangs on one disk, while the others may be a minute behind with everything that was acknowledged: only long silence shows that
/// they will not come.
/// </summary>
/// <remarks>
/// Counted from the later of the master's start and the member's last sign of life; of a member that is alive, and does not do what it is
/// asked, from its first refusal since it registered; of one that answers the master, and not the primary, from the first of its
/// accusations. Nothing of it is logged: a master that starts anew counts anew.
/// </remarks>
internal sealed class MemberWaits(MasterServices services, ServerRegistry servers)
{
    /// <summary>Accusations with longer pauses between them are about different things.</summary>
    private static readonly TimeSpan AccusationsBelongTogether = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    private readonly SortedDictionary<(ulong Chunk, ServerId Member), Accusation> _accusations = [];

    /// <summary>With fewer members than this a chunk takes no records, and does not come to be by silence alone.</summary>
    public int FloorOf(Chunk chunk) => Math.Min(services.Options.MinMembers, chunk.File.Settings.Replicas);

    public void Accuse(Chunk chunk, ServerId member)
    {
        var key = (chunk.Handle.Value, member);
        if (!_accusations.TryGetValue(key, out var accusation) || services.Since(accusation.LastAt) > AccusationsBelongTogether)
            _accusations[key] = accusation = new Accusation(services.Now);
        accusation.LastAt = services.Now;
    }

    /// <summary>The chunk has to go on with members that cannot work together.</summary>
    public void IncludedAgain(Chunk chunk, IEnumerable<ServerId> accused)
    {
        foreach (var member in accused)
        {
            Accuse(chunk, member);
            _accusations[(chunk.Handle.Value, member)].Inclusions++;
        }
    }

    /// <summary>
    /// Before the next view change of a chunk whose members cannot work together: there would be hundreds in the same minute.
    /// </summary>
    public TimeSpan PauseBefore(ViewChange change)
    {
        int inclusions = change.Accused.Select(m => _accusations.TryGetValue((change.Chunk.Handle.Value, m), out var a) ? a.Inclusions : 0).DefaultIfEmpty().Max();
        var pause = inclusions == 0 ? TimeSpan.Zero : FirstPause * (1 << Math.Min(inclusions - 1, 10));
        return pause < services.Options.LongestRetryPause ? pause : services.Options.LongestRetryPause;
    }

    /// <summary>Members that the chunk does not go below its floor without, and how long that holds.</summary>
    public SortedDictionary<ServerId, TimeSpan> Awaited(ViewChange change)
    {
        var awaited = new SortedDictionary<ServerId, TimeSpan>();
        foreach (var member in change.Chunk.Members)
        {
            if (LeftFor(change, member) is var left && left > TimeSpan.Zero)
                awaited.Add(member, left);
        }
        return awaited;
    }

    /// <summary>Forgets accusations that were not repeated.</summary>
    public void Prune()
    {
        foreach (var key in _accusations.Where(a => services.Since(a.Value.LastAt) > AccusationsBelongTogether).Select(a => a.Key).ToList())
            _accusations.Remove(key);
    }

    private TimeSpan LeftFor(ViewChange change, ServerId member)
    {
        if (change.Lost.Contains(member))
            return TimeSpan.Zero;
        long since = services.Now;
        if (change.Answers.TryGetValue(member, out var answer))
        {
            if (answer.Suspect || answer.Damaged)
                return TimeSpan.Zero;
            if (_accusations.TryGetValue((change.Chunk.Handle.Value, member), out var accusation))
                since = accusation.FirstAt;
        }
        else if (!servers.IsAlive(member))
            since = servers.LastSignOf(member);
        else if (change.RefusedSince.TryGetValue(member, out long first))
            since = Math.Max(first, servers.Get(member).CameBackAt);
        return services.Options.MemberGrace - services.Since(since);
    }

    private sealed class Accusation(long firstAt)
    {
        public long FirstAt => firstAt;
        public long LastAt { get; set; }

        /// <summary>View changes that had to take the member in again.</summary>
        public int Inclusions { get; set; }
    }
}
