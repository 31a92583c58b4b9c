using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Servers;

/// <summary>
/// A chunk server of the cluster, as the master sees it at the moment. Not logged.
/// <code>
/// Absent (not heard of since the master started) --RegisterServer--> Alive --silent for DeadAfter--> Dead
///                                                       ^----RegisterServer, or a heartbeat of its incarnation----+
/// </code>
/// </summary>
internal sealed class KnownServer(ServerId id, string address)
{
    private const int RememberedIncarnations = 16;

    private readonly Queue<ulong> _formerIncarnations = new();

    public ServerId Id { get; } = id;
    public string Address { get; set; } = address;
    public ServerPresence Presence { get; set; } = ServerPresence.Absent;
    public bool IsAlive => Presence == ServerPresence.Alive;

    /// <summary>0: has not registered since the master started.</summary>
    public ulong Incarnation { get; private set; }

    /// <summary>It was started anew, and has not yet told of everything that it has.</summary>
    public bool IsFresh { get; set; }

    /// <summary>When the last heartbeat came.</summary>
    public long HeardAt { get; set; }

    /// <summary>When it last registered, or was heard of again after it counted as dead.</summary>
    public long CameBackAt { get; set; }

    /// <summary>When it last did what a view change asked of it.</summary>
    public long AnsweredAt { get; set; }

    /// <summary>Of the last heartbeat; starts anew with each registration.</summary>
    public ulong Sequence { get; set; }

    public ulong CapacityBytes { get; set; }
    public ulong FreeBytes { get; set; }

    /// <summary>The full report that is under way; null when it is complete, or none has begun.</summary>
    public FullReport? Report { get; set; }

    /// <summary>Has told of everything that it has since its last registration.</summary>
    public bool HasReported { get; set; }

    /// <summary>Has said since its last registration that it serves this master. Before that it makes no replicas.</summary>
    public bool Serves { get; set; }

    /// <summary>When a primary last accused it.</summary>
    public long? AccusedAt { get; set; }

    /// <summary>It could not make replicas of late: others are chosen before it until this time.</summary>
    public long UnfitUntil { get; private set; }

    private int _failedCreations;

    /// <param name="made">It made a replica that it was asked for.</param>
    /// <param name="now">As a timestamp.</param>
    /// <param name="pause">After the first failure; it doubles with each further one, up to 32 times.</param>
    public void WasAskedToCreate(bool made, long now, long pause)
    {
        UnfitUntil = made ? 0 : now + (pause << Math.Min(_failedCreations, 5));
        _failedCreations = made ? 0 : _failedCreations + 1;
    }

    public long? LeasesRenewedAt { get; set; }
    public CommandQueue Commands { get; } = new();

    public ServerAddress ToMessage() => new() { ServerId = Id.Value, Address = Address };

    public void Begin(ulong incarnation)
    {
        if (Incarnation != 0 && Incarnation != incarnation)
        {
            _formerIncarnations.Enqueue(Incarnation);
            if (_formerIncarnations.Count > RememberedIncarnations)
                _formerIncarnations.Dequeue();
        }
        Incarnation = incarnation;
    }

    /// <summary>
    /// A late or repeated message of an incarnation that was replaced. But one that has not sent a single heartbeat may itself be the late
    /// one (a master that was restarted does not know which came first): then the other is believed.
    /// </summary>
    public bool IsFormer(ulong incarnation) => incarnation != Incarnation && IsAlive && Sequence > 0 && _formerIncarnations.Contains(incarnation);
}

internal enum ServerPresence
{
    Absent = 0,
    Alive = 1,
    Dead = 2,
}

/// <summary>A full report on its way: what it named so far, and what it cannot know.</summary>
/// <param name="HandlesEnd">Chunks from this handle on were made after the registration.</param>
/// <param name="BeingMade">Chunks that were being made at the registration.</param>
internal sealed record FullReport(ulong HandlesEnd, IReadOnlySet<ulong> BeingMade)
{
    public HashSet<ulong> Seen { get; } = [];

    /// <summary>Chunks of which the server named itself active primary.</summary>
    public HashSet<ulong> Primaries { get; } = [];

    /// <summary>Open chunks of which the server cannot know whether the end of its log is committed, or may have forgotten it.</summary>
    public SortedSet<ulong> Unsettled { get; } = [];

    /// <summary>The report would name the chunk if the server had it.</summary>
    public bool Covers(ChunkHandle handle) => handle.Value < HandlesEnd && !BeingMade.Contains(handle.Value);
}
