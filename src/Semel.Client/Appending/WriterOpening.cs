using System.Globalization;
using Semel.Client.Cluster;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

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
            return Open(file, tail, Ballot.OfVersion(tail.Version), AppendIdentity.Anonymous, "", 0, null, options);
        }

        // Step 1
        string name = options.Name ?? string.Create(CultureInfo.InvariantCulture, $"writer-{parts.Jitter.NextId():x16}");
        var request = new RegisterWriterRequest
        {
            Path = path,
            Name = name,
            Ephemeral = options.Name is null,
            StartAnew = options.StartAnew || options.StartAnewIfExpired,
        };
        while (true)
        {
            var answer = await parts.Master.AskAsync<RegisterWriterReply>(MessageKind.RegisterWriter, request, cancellation);
            var registered = answer.OrThrow(path);
            var identity = new AppendIdentity(new WriterId(registered.Writer), registered.Epoch);
            if (await InitAsync(path, name, identity, registered.FileId, options, cancellation) is { } writer)
            {
                if (!options.StartAnew || writer.LastSequence == 0)
                    return writer;
                // It is fenced now, with what it left in doubt settled: nothing comes to its records any more. The name goes to a writer
                // that never was.
                await writer.DisposeAsync();
            }
            // Or the file has forgotten the writer since, and the master says so; or it never appended, and others with higher ids came and
            // went meanwhile.
            request.InsteadOf = registered.Writer;
        }
    }

    private RecordWriter Open(TargetFile file, Tail tail, Ballot known, AppendIdentity identity, string name, ulong lastSequence, WriterMemory? memory, WriterOptions options)
    {
        parts.Logger.WriterOpened(identity.Writer.Value, identity.Epoch, file.Path, lastSequence);
        var pipeline = new AppendPipeline(parts, _locator, file, tail, known, identity, lastSequence, options);
        var remembered = new RememberedRecords(parts, file, identity.Writer, memory, lastSequence);
        var repeated = new RepeatedRecords(parts, pipeline, identity, file.Path, remembered, options);
        var appender = new RecordAppender(parts, pipeline, identity, file.ChunkCapacity, repeated, options);
        var retirement = options.Name is null && !identity.IsAnonymous ? new WriterRetirement(parts, file, name, identity) : null;
        return new RecordWriter(appender, file.Path, name, identity, retirement, parts);
    }

    /// <summary>Null: the file takes in no writer with this id any more.</summary>
    private async Task<RecordWriter?> InitAsync(
        string path, string name, AppendIdentity identity, ulong fileId, WriterOptions options, CancellationToken cancellation)
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
            var init = new InitWriterRequest { Handle = tail.Handle.Value, KnownBallot = known.Value, Writer = identity.Writer.Value, Epoch = identity.Epoch };
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
                    return Open(file, tail, ballot > known ? ballot : known, identity, name, reply.LastSequence, reply.Memory, options);
                if (reply.Status == AppendStatus.UnknownWriter && ballot >= known)
                    return null;
                if (reply.Status != AppendStatus.UnknownWriter && AppendRefusal.CauseOf(reply, file, identity.Writer, identity.Epoch, 0) is { } cause)
                    throw cause();
                if (reply.Status == AppendStatus.NotPrimary)
                    suspect = tail;
                if (ballot > known)
                    known = ballot;
                reason = $"it answered {reply.Status} {reply.Detail}".TrimEnd();
            }
            else
            {
                if (result.Outcome == CallOutcome.TimedOut)
                    patience.Silent();
                if (result.Outcome != CallOutcome.TimedOut || patience.Silences >= 2)
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
}
