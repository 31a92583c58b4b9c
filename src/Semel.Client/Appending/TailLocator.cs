using Semel.Client.Cluster;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Client.Appending;

/// <summary>Where the file is appended to: its last chunk and that chunk's primary, as the master said.</summary>
internal sealed record Tail(ChunkHandle Handle, ulong ChunkIndex, ulong Version, ILink Primary);

/// <summary>The file that a writer appends to.</summary>
internal sealed record TargetFile(string Path, ulong FileId, uint ChunkCapacity);

/// <summary>Asks the master where a file is appended to.</summary>
internal sealed class TailLocator(ClientParts parts)
{
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Asks until there is an answer, within the operation's time.</summary>
    public async Task<(TargetFile File, Tail Tail)> FindAsync(string path, ulong fileId, Tail? suspect, CancellationToken cancellation)
    {
        var answer = await parts.Master.AskAsync<LocateTailReply>(MessageKind.LocateTail, Request(path, fileId, suspect), cancellation);
        var reply = answer.OrThrow(path);
        return TailOf(reply) is { } tail
            ? (new TargetFile(path, reply.FileId, reply.ChunkCapacity), tail)
            : throw new ClusterUnavailableException($"The master gave no chunk and no primary for {path}. Try again, or look at `semel cluster status`.");
    }

    /// <summary>Asks once.</summary>
    public async ValueTask<TailAnswer> TryFindAsync(TargetFile file, Tail? suspect, CancellationToken cancellation)
    {
        var request = Request(file.Path, file.FileId, suspect);
        var attempt = await parts.Master.AskOnceAsync<LocateTailReply>(MessageKind.LocateTail, request, AttemptTimeout, cancellation);
        if (!attempt.IsSettled)
            return new TailAnswer(null, null, attempt.Detail is { Length: > 0 } detail ? detail : $"the master: {attempt.Outcome}");
        if (MasterReply.Refusal(attempt.Reply!, file.Path) is { IsRetryable: false } refusal)
            return new TailAnswer(null, refusal, refusal.Message);
        return new TailAnswer(TailOf(attempt.Reply!), null, attempt.Detail is { Length: > 0 } words ? words : "the file has no primary now");
    }

    private static LocateTailRequest Request(string path, ulong fileId, Tail? suspect) => new()
    {
        Path = path,
        FileId = fileId,
        Create = true,
        SuspectHandle = suspect?.Handle.Value ?? 0,
        SuspectVersion = suspect?.Version ?? 0,
    };

    private Tail? TailOf(LocateTailReply reply) =>
        reply.Status == Status.Ok && reply.Chunk?.Primary is { Address.Length: > 0 } primary
            ? new Tail(new ChunkHandle(reply.Chunk.Handle), reply.Chunk.Index, reply.Chunk.Version, parts.Wire.LinkTo(primary.Address))
            : null;
}

/// <param name="Tail">Where to append.</param>
/// <param name="Fatal">The file is gone: there is no use in asking again.</param>
/// <param name="Reason">Why there is no <paramref name="Tail"/>.</param>
internal readonly record struct TailAnswer(Tail? Tail, SemelException? Fatal, string Reason);
