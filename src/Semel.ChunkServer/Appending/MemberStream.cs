using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// How far one secondary is, as its primary knows.
/// <code>
/// Installing --voted for the view--> Following
/// </code>
/// </summary>
internal sealed class MemberStream(ServerAddress server, ILink link, PeerPulse.Beat pulse)
{
    public ServerAddress Server { get; } = server;
    public ILink Link { get; } = link;

    /// <summary>Of the whole server, whatever chunk it answers for.</summary>
    public PeerPulse.Beat Pulse { get; } = pulse;

    /// <summary>The view has been voted for in the primary's ballot.</summary>
    public bool Following { get; private set; }

    /// <summary>Everything below is held there in the primary's ballot. Grows only.</summary>
    public uint Acked { get; private set; }

    /// <summary>Offset of the next frame to send.</summary>
    public uint Next { get; set; }

    /// <summary>For NEW_VIEW: the secondary wants frames from here on; null: it has not said.</summary>
    public uint? WantsFramesFrom { get; set; }

    /// <summary>Calls that wait for an answer.</summary>
    public int InFlight { get; set; }

    /// <summary>The watermark that it has been told.</summary>
    public uint ToldCommitted { get; set; }

    /// <summary>Timestamp before which nothing is sent again after a failure.</summary>
    public long RetryAt { get; set; }

    /// <summary>Timestamp since which it owes an answer or a vote without any progress; null: it owes nothing.</summary>
    public long? OwingSince { get; set; }

    /// <summary>Timestamp since which every call failed at the connection; null: the last one did not.</summary>
    public long? UnreachableSince { get; set; }

    /// <summary>Timestamp of the last accusation; null: none.</summary>
    public long? AccusedAt { get; set; }

    public void Installed(uint durable)
    {
        if (!Following)
            ToldCommitted = 0;      // a view says nothing of the watermark
        Following = true;
        WantsFramesFrom = null;
        Voted(durable);
        Next = durable;
    }

    public void Voted(uint durable) => Acked = Math.Max(Acked, durable);

    /// <summary>What was sent and not acknowledged goes again; the watermark too, for the message that carried it may be the one that was lost.</summary>
    public void Rewind() => (Next, ToldCommitted) = (Acked, 0);
}
