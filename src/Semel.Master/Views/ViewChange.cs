using Semel.Master.Chunks;
using Semel.Master.Servers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Views;

/// <summary>The state of one chunk's view change while it runs, and while it waits for members.</summary>
internal sealed class ViewChange(Chunk chunk)
{
    public Chunk Chunk { get; } = chunk;

    /// <summary>Members that the primary cannot work with, or that did not take over.</summary>
    public SortedSet<ServerId> Accused { get; } = [];

    /// <summary>Members of which it is known that they have no replica: there is nothing to wait for.</summary>
    public SortedSet<ServerId> Lost { get; } = [];

    /// <summary>Clients complained about the primary.</summary>
    public bool AvoidPrimary { get; set; }

    /// <summary>Ends when the chunk has a primary, is sealed or deleted, or when nobody waits for it any more.</summary>
    public Task Ended { get; set; } = Task.CompletedTask;

    /// <summary>Why it has not ended yet; null before the first attempt failed.</summary>
    public string? Problem { get; set; }

    /// <summary>The version that is promised at the moment; 0: the next attempt reserves one.</summary>
    public ulong Version { get; set; }

    /// <summary>Answers OK to the promise of <see cref="Version"/>.</summary>
    public SortedDictionary<ServerId, PromiseReply> Answers { get; set; } = [];

    /// <summary>
    /// Incarnations (as the master knew them) whose answers those are: a server that was started anew may have lost what the one before
    /// promised with.
    /// </summary>
    public SortedDictionary<ServerId, ulong> Incarnations { get; } = [];

    /// <summary>Since when members that were asked did not answer OK.</summary>
    public SortedDictionary<ServerId, long> RefusedSince { get; } = [];

    /// <summary>Nothing can have become better before this time, unless a member comes back.</summary>
    public long NotBefore { get; set; }

    /// <summary>Why members did not answer OK, last time they were asked.</summary>
    public SortedDictionary<ServerId, string> Refusals { get; } = [];

    /// <summary>Members whose answer is still to come, each with the number of the question.</summary>
    public SortedDictionary<ServerId, int> Outstanding { get; } = [];

    /// <summary>Questions so far.</summary>
    public int Asked { get; set; }

    /// <summary>Fires when a member answered or failed.</summary>
    public Pulse Answered { get; } = new();

    /// <summary>A member has promised this version already, to an earlier master.</summary>
    public ulong PromisedElsewhere { get; set; }

    /// <summary>What an operator decided, and waits for the end of.</summary>
    public OperatorChoice? Choice { get; set; }

    /// <summary>Who was accused long ago may work again.</summary>
    public void TakeUpAgain()
    {
        Accused.Clear();
        AvoidPrimary = false;
    }

    /// <summary>
    /// A promise does not get old; what a member said of its replica does when it went away or was started anew since. It is asked again.
    /// </summary>
    public void DropOldAnswers(ServerRegistry servers)
    {
        foreach (var member in Answers.Keys.Where(m => servers.IsDead(m) || Incarnations[m] != servers.Get(m).Incarnation).ToList())
            Answers.Remove(member);
    }
}

/// <summary>
/// The chunk shall go on with this server's copy alone. Ends with null when that is so, else with the reason why it is not.
/// </summary>
internal sealed class OperatorChoice(ServerId server)
{
    public ServerId Server => server;
    public TaskCompletionSource<string?> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
