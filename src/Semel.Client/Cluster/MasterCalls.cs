using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Client.Cluster;

/// <summary>
/// Asks the master, and asks again with jittered back-off while it is not there or says UNAVAILABLE, within the operation's time. Every request
/// to the master may be repeated; where a repetition can be told from the first time, the answer says that there was one.
/// </summary>
internal sealed class MasterCalls(ILink link, TimeSpan operationTimeout, TimeProvider time, Jitter jitter, ILogger logger)
{
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(10);

    public string Address => link.Address;

    /// <summary>Asks until there is an answer other than UNAVAILABLE.</summary>
    /// <exception cref="ClusterUnavailableException">The time is over.</exception>
    /// <exception cref="ClusterRefusedException">The master will have nothing to do with this client.</exception>
    public async Task<MasterAnswer<TReply>> AskAsync<TReply>(MessageKind kind, IMessage request, CancellationToken cancellation)
        where TReply : class, IMessage
    {
        var backoff = new Backoff(jitter);
        bool inDoubt = false;
        long start = time.GetTimestamp();
        var attempt = new MasterAttempt<TReply>(CallOutcome.TimedOut, null, "the time was over before it could be asked");
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var left = operationTimeout - time.GetElapsedTime(start);
            // The pause was longer than it should be. What was not sent is not in doubt, and what was answered before is the reason.
            if (left <= TimeSpan.Zero)
                throw Unavailable(kind, attempt.Outcome, attempt.Detail, inDoubt);
            attempt = await AskOnceAsync<TReply>(kind, request, left < AttemptTimeout ? left : AttemptTimeout, cancellation);
            cancellation.ThrowIfCancellationRequested();
            if (attempt.Outcome == CallOutcome.Refused)
                throw new ClusterRefusedException($"The master at {Address} refuses this client: {attempt.Detail}. Check the address and the versions of both.");
            if (attempt.IsSettled)
                return new MasterAnswer<TReply>(attempt.Reply!, inDoubt);
            inDoubt |= attempt.Outcome is CallOutcome.TimedOut or CallOutcome.ConnectionLost;

            var wait = backoff.Next();
            if (time.GetElapsedTime(start) + wait >= operationTimeout)
                throw Unavailable(kind, attempt.Outcome, attempt.Detail, inDoubt);
            if (backoff.Attempts == 3)
                logger.MasterDoesNotAnswer(Address, kind, attempt.Detail ?? attempt.Outcome.ToString());
            await Task.Delay(wait, time, cancellation);
        }
    }

    /// <summary>Asks once.</summary>
    public async ValueTask<MasterAttempt<TReply>> AskOnceAsync<TReply>(MessageKind kind, IMessage request, TimeSpan timeout, CancellationToken cancellation)
        where TReply : class, IMessage
    {
        var result = await link.CallAsync(kind, request, default, timeout, cancellation);
        result.Payload.Release();
        if (!result.IsAnswered)
            return new MasterAttempt<TReply>(result.Outcome, null, result.Detail);
        var reply = result.Answer<TReply>();
        return new MasterAttempt<TReply>(CallOutcome.Answered, reply, MasterReply.DetailOf(reply));
    }

    private ClusterUnavailableException Unavailable(MessageKind kind, CallOutcome outcome, string? detail, bool inDoubt)
    {
        string because = string.IsNullOrEmpty(detail) ? "" : $": {detail.TrimEnd('.')}";
        string within = $" within {operationTimeout.TotalSeconds:0.###} s";
        return new ClusterUnavailableException(outcome switch
        {
            CallOutcome.Answered => $"The master at {Address} could not do it ({kind}){within}{because}. Try again, or look at `semel cluster status`.",
            CallOutcome.Unreachable => $"No master at {Address}{because}. Tried{within}. Start one with `semel up` or `semel master`, or give the right address.",
            _ => $"The master at {Address} did not answer ({kind}){within}{because}. Check that it is well and that the network lets answers through.",
        }, inDoubt && IsChange(kind));
    }

    /// <summary>
    /// Without an answer it is not known whether it was done. The others look something up, or open a writer, which appends nothing: whoever
    /// waits for a record's fate knows more than they would say.
    /// </summary>
    private static bool IsChange(MessageKind kind) =>
        kind is MessageKind.CreateFile or MessageKind.MakeDirectory or MessageKind.Delete or MessageKind.RetireWriter;
}

/// <param name="Reply">What the master answered.</param>
/// <param name="Repeated">An earlier attempt got no answer and may have taken effect.</param>
internal readonly record struct MasterAnswer<TReply>(TReply Reply, bool Repeated);

/// <summary>How one attempt ended.</summary>
internal readonly record struct MasterAttempt<TReply>(CallOutcome Outcome, TReply? Reply, string? Detail) where TReply : class, IMessage
{
    /// <summary>The master answered, and not just "not now".</summary>
    public bool IsSettled => Reply is not null && MasterReply.StatusOf(Reply) != Status.Unavailable;
}

/// <summary>What all replies of the master have, and how a refusal is told to the caller.</summary>
internal static class MasterReply
{
    public static Status StatusOf(IMessage reply) => Read(reply).Status;

    public static string DetailOf(IMessage reply) => Read(reply).Detail;

    private static (Status Status, string Detail) Read(IMessage reply) => reply switch
    {
        CreateFileReply r => (r.Status, r.Detail),
        MakeDirectoryReply r => (r.Status, r.Detail),
        ListDirectoryReply r => (r.Status, r.Detail),
        StatReply r => (r.Status, r.Detail),
        DeleteReply r => (r.Status, r.Detail),
        LocateTailReply r => (r.Status, r.Detail),
        LocateChunksReply r => (r.Status, r.Detail),
        RegisterWriterReply r => (r.Status, r.Detail),
        LookUpWriterReply r => (r.Status, r.Detail),
        RetireWriterReply r => (r.Status, r.Detail),
        ClusterStatusReply r => (r.Status, ""),
        _ => throw new InvalidOperationException($"{reply.Descriptor.Name} is not a reply of the master."),
    };

    /// <summary>Null when the status is OK.</summary>
    public static SemelException? Refusal(IMessage reply, string path, bool repeated = false)
    {
        var (status, detail) = Read(reply);
        string text(string otherwise) => string.IsNullOrEmpty(detail) ? otherwise : detail;
        string doubt = repeated ? " An earlier attempt of this call got no answer; it may have been that one." : "";
        return status switch
        {
            Status.Ok => null,
            Status.NotFound => new PathNotFoundException(path, text($"There is nothing at {path}. List its directory with `semel ls`, or create it.")),
            Status.Conflict => new PathConflictException(path, text($"{path} exists already, or is of another kind.") + doubt, repeated),
            Status.NotEmpty => new PathConflictException(path, text($"The directory {path} is not empty. Delete what is in it first, or delete it recursively.")),
            Status.Invalid => new InvalidPathException(path, text($"The master does not take the path {path} or a value given with it.")),
            Status.Expired => new WriterExpiredException(text($"A writer of {path} was idle for so long that the file has forgotten it.")),
            Status.WrongCluster => new ClusterRefusedException(text("This client belongs to another cluster.")),
            _ => new ClusterUnavailableException(text($"The master answered {status} for {path}."), repeated),
        };
    }

    /// <summary>Returns the reply when its status is OK.</summary>
    public static TReply OrThrow<TReply>(this MasterAnswer<TReply> answer, string path) where TReply : class, IMessage =>
        Refusal(answer.Reply, path, answer.Repeated) is { } refusal ? throw refusal : answer.Reply;
}
