using System.Globalization;
using Semel.Client.Cluster;
using Semel.Protocol;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Appending;

/// <summary>
/// Opens a writer, within the operation's time:
/// <list type="number">
/// <item>The master registers the name: a durable new epoch, so that every incarnation has its own.</item>
/// <item>The master says where the file's tail is, making the first chunk if there is none.</item>
/// <item>The primary makes the epoch the writer's only one. From then on nothing of an older incarnation can be appended, so the last sequence it
/// answers is final: what was in doubt is settled.</item>
/// </list>
/// At-least-once writers need only the second step.
/// </summary>
internal sealed class WriterOpening(ClientParts parts)
{
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(5);

    private readonly TailLocator _locator = new(parts);

    public async Task<RecordWriter> OpenAsync(string path, WriterOptions options, CancellationToken cancellation)
    {
        if (options.Delivery == Delivery.AtLeastOnce)
        {
            var (file, tail) = await _locator.FindAsync(path, 0, null, cancellation);
            var pipeline = new AppendPipeline(
                parts, _locator, file, tail, Ballot.OfVersion(tail.Version), WriterId.Anonymous, 0, 0, options);
            return new RecordWriter(pipeline, path, "", 0, 0, parts.Options.OperationTimeout);
        }

        // Step 1
        string name = options.Name ?? string.Create(CultureInfo.InvariantCulture, $"writer-{parts.Jitter.NextId():x16}");
        var request = new RegisterWriterRequest { Path = path, Name = name };
        var answer = await parts.Master.AskAsync<RegisterWriterReply>(MessageKind.RegisterWriter, request, cancellation);
        var registered = answer.OrThrow(path);
        return await InitAsync(path, name, new WriterId(registered.Writer), registered.Epoch, registered.FileId, options, cancellation);
    }

    private async Task<RecordWriter> InitAsync(
        string path, string name, WriterId writer, uint epoch, ulong fileId, WriterOptions options, CancellationToken cancellation)
    {
        var backoff = new Backoff(parts.Jitter);
        var patience = new Patience();
        long start = parts.Time.GetTimestamp();
        Tail? suspect = null;
        var known = Ballot.None;
        ChunkHandle knownOf = default;
        while (true)
        {
            // Step 2
            var (file, tail) = await _locator.FindAsync(path, fileId, suspect, cancellation);
            suspect = null;
            if (tail.Handle != knownOf || known < Ballot.OfVersion(tail.Version))
                known = Ballot.OfVersion(tail.Version);
            knownOf = tail.Handle;

            // Step 3
            var init = new InitWriterRequest { Handle = tail.Handle.Value, KnownBallot = known.Value, Writer = writer.Value, Epoch = epoch };
            var timeout = patience.Timeout < AttemptTimeout ? patience.Timeout : AttemptTimeout;
            var result = await tail.Primary.CallAsync(MessageKind.InitWriter, init, default, timeout, cancellation);
            result.Payload.Release();
            cancellation.ThrowIfCancellationRequested();
            string reason;
            if (result.IsAnswered)
            {
                var reply = result.Answer<AppendReply>();
                var ballot = new Ballot(reply.Ballot);
                if (reply.Status is AppendStatus.Committed or AppendStatus.AlreadyCommitted)
                {
                    var best = ballot > known ? ballot : known;
                    var pipeline = new AppendPipeline(parts, _locator, file, tail, best, writer, epoch, reply.LastSequence, options);
                    parts.Logger.WriterOpened(writer.Value, epoch, path, reply.LastSequence);
                    return new RecordWriter(pipeline, path, name, writer.Value, epoch, parts.Options.OperationTimeout);
                }
                if (FinalRefusal(reply, path, name) is { } refusal && (ballot >= known || reply.Status != AppendStatus.UnknownWriter))
                    throw refusal;
                if (reply.Status == AppendStatus.NotPrimary)
                    suspect = tail;
                if (ballot > known)
                    known = ballot;
                reason = $"it answered {reply.Status} {reply.Detail}".TrimEnd();
            }
            else
            {
                if (result.Outcome == Protocol.Wires.CallOutcome.TimedOut)
                    patience.Silent();
                if (result.Outcome != Protocol.Wires.CallOutcome.TimedOut || patience.Silences >= 2)
                    suspect = tail;
                reason = result.Detail ?? result.Outcome.ToString();
            }

            var wait = backoff.Next();
            if (parts.Time.GetElapsedTime(start) + wait >= parts.Options.OperationTimeout)
            {
                throw new ClusterUnavailableException(
                    $"No primary of {path} took the writer '{name}' within {parts.Options.OperationTimeout.TotalSeconds:0.###} s; the last was {tail.Primary.Address}: {reason}. Try again, or look at `semel cluster status`.");
            }
            await Task.Delay(wait, parts.Time, cancellation);
        }
    }

    private static SemelException? FinalRefusal(AppendReply reply, string path, string name) => reply.Status switch
    {
        AppendStatus.Fenced => new WriterFencedException(
            $"The writer '{name}' of {path} was opened by somebody else at the same time. Let only one process use a writer name."),
        AppendStatus.TooManyWriters => new TooManyWritersException($"{path} has as many writers as it may. Reuse writer names. {reply.Detail}".TrimEnd()),
        AppendStatus.UnknownWriter => new WriterExpiredException($"The file {path} has forgotten the writer '{name}'. Take another name. {reply.Detail}".TrimEnd()),
        AppendStatus.Refused or AppendStatus.OperationIdReused or AppendStatus.TooBig => new AppendRefusedException(
            $"The primary of {path} refused the writer '{name}': {reply.Detail}"),
        _ => null,
    };
}
