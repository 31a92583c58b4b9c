using Semel.Client.Cluster;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Appending;

/// <summary>
/// Tells the cluster that a writer without a name was closed with everything in the file, so that nobody need remember it: first the master, that no one
/// comes back under its made-up name, then the file. A courtesy: tried once, and what fails is made up for when the file needs the room.
/// </summary>
internal sealed class WriterRetirement(ClientParts parts, TargetFile file, string name, AppendIdentity identity)
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(1);

    public async Task RunAsync(Tail tail, Ballot known)
    {
        var retire = new RetireWriterRequest { FileId = file.FileId, Name = name, Writer = identity.Writer.Value, Epoch = identity.Epoch };
        var retired = await parts.Master.AskOnceAsync<RetireWriterReply>(MessageKind.RetireWriter, retire, AnswerTimeout, CancellationToken.None);
        if (retired.Reply?.Status != Status.Ok)
        {
            parts.Logger.WriterNotRetired(identity.Writer.Value, file.Path, $"the master: {retired.Reply?.Status.ToString() ?? retired.Outcome.ToString()}");
            return;
        }
        var evict = new EvictWriterRequest { Handle = tail.Handle.Value, KnownBallot = known.Value, Writer = identity.Writer.Value, Epoch = identity.Epoch };
        var result = await tail.Primary.CallAsync(MessageKind.EvictWriter, evict, default, AnswerTimeout, CancellationToken.None);
        result.Payload.Release();
        var status = result.IsAnswered ? result.Answer<AppendReply>().Status : AppendStatus.Unspecified;
        if (status != AppendStatus.Committed)
            parts.Logger.WriterNotRetired(identity.Writer.Value, file.Path, $"the primary: {(result.IsAnswered ? status.ToString() : result.Outcome.ToString())}");
    }
}
