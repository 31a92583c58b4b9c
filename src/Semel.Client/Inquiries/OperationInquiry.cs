using Semel.Client.Appending;
using Semel.Client.Cluster;
using Semel.Client.Reading;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Client.Inquiries;

/// <summary>
/// Finds out what became of an operation:
/// <list type="number">
/// <item>The master says which id the writer's name stands for.</item>
/// <item>The active primary says which of its sequences are committed. Sequences are dense, so this decides for all up to the last one.</item>
/// <item>A sequence beyond that may be on its way. Opening the writer in a new epoch is the barrier: what the older ones did not get into the file by then never
/// gets there.</item>
/// <item>Where a committed record is: every chunk's base tells how far the writer was when the chunk began, so a binary search finds the chunk, and only that
/// one is read.</item>
/// </list>
/// </summary>
internal sealed class OperationInquiry(ClientParts parts, string path, string name)
{
    private static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(5);

    public async Task<OperationStatus> AskAsync(ulong sequence, bool settle, CancellationToken cancellation)
    {
        // Step 1
        var writer = (await parts.Master.AskAsync<LookUpWriterReply>(MessageKind.LookUpWriter, new LookUpWriterRequest { Path = path, Name = name }, cancellation)).Reply;
        if (writer.Status == Status.Expired)
            return await OfForgottenAsync(writer, sequence, cancellation);
        if (MasterReply.Refusal(writer, path) is { } refusal)
            throw refusal;
        if (writer.Writer == 0)
            throw new WriterNotFoundException($"The file {path} knows no writer '{name}'. Check the name. A writer without a name of its own is forgotten once it is closed with nothing in doubt.");

        // Step 2
        ulong last = await CommittedAsync(writer, cancellation);
        if (sequence <= last)
            return await CommittedAtAsync(writer, sequence, last, cancellation);
        if (!settle)
        {
            return Unread(OperationOutcome.InDoubt, writer, writer.Epoch, sequence, last,
                $"the writer's sequences up to {last} are in the file; this one is not, and incarnation {writer.Epoch} of the writer may still append it");
        }

        // Step 3
        await using var barrier = await new WriterOpening(parts).OpenAsync(path, new WriterOptions { Name = name }, cancellation);
        last = barrier.LastSequence;
        return sequence <= last
            ? await CommittedAtAsync(writer, sequence, last, cancellation)
            : Unread(OperationOutcome.Aborted, writer, barrier.Epoch - 1, sequence, last,
                $"the writer's sequences up to {last} are in the file, and its incarnations up to {barrier.Epoch - 1} are fenced now");
    }

    /// <summary>The writer's last committed sequence, as the chunk's active primary knows it. Asks until one does, within the operation's time.</summary>
    private async Task<ulong> CommittedAsync(LookUpWriterReply writer, CancellationToken cancellation)
    {
        var locator = new TailLocator(parts);
        var backoff = new Backoff(parts.Jitter);
        long start = parts.Time.GetTimestamp();
        Tail? suspect = null;
        while (true)
        {
            var (_, tail) = await locator.FindAsync(path, writer.FileId, suspect, cancellation);
            suspect = null;
            var result = await FindWriterAsync(tail.Primary, tail.Handle.Value, writer.Writer, cancellation);
            if (result.Reply is { Status: Status.Ok, Ends: true } reply && new Ballot(reply.Ballot) >= Ballot.OfVersion(tail.Version))
                return reply.AtEnd?.LastSequence ?? 0;
            if (result.Reply is not { Status: Status.Ok })
                suspect = tail;
            var wait = backoff.Next();
            if (parts.Time.GetElapsedTime(start) + wait >= parts.Options.OperationTimeout)
            {
                throw new ClusterUnavailableException(
                    $"No primary of {path} answered for the writer '{name}' within {parts.Options.OperationTimeout.TotalSeconds:0.###} s; the last was {tail.Primary.Address}: {result.Reason}. Whether the operation is committed stays in doubt: ask again.");
            }
            await Task.Delay(wait, parts.Time, cancellation);
        }
    }

    // ---- Step 4

    private async Task<OperationStatus> CommittedAtAsync(LookUpWriterReply writer, ulong sequence, ulong last, CancellationToken cancellation)
    {
        ulong chunk = await ChunkOfAsync(writer, sequence, cancellation);
        var record = await FindRecordAsync(writer.Writer, sequence, chunk, onlyThatChunk: true, cancellation)
            ?? throw new CorruptDataException($"Sequence {sequence} of writer {writer.Writer} is committed in {path} and should be in chunk {chunk}, but it is not there. Run `semel verify {path}`.");
        return Found(writer, record, last);
    }

    /// <summary>The last chunk at whose beginning the writer had not got as far as the sequence.</summary>
    private async Task<ulong> ChunkOfAsync(LookUpWriterReply writer, ulong sequence, CancellationToken cancellation)
    {
        var directory = await ChunkDirectory.ListAsync(parts, path, writer.FileId, 0, 1, cancellation);
        ulong first = 0, end = directory.ChunkCount;
        while (end - first > 1)
        {
            ulong middle = first + ((end - first) / 2);
            if (await AtStartAsync(writer, middle, cancellation) < sequence)
                first = middle;
            else
                end = middle;
        }
        return first;
    }

    private async Task<ulong> AtStartAsync(LookUpWriterReply writer, ulong index, CancellationToken cancellation)
    {
        var page = await ChunkDirectory.ListAsync(parts, path, writer.FileId, index, 1, cancellation);
        string reason = "the master names none";
        foreach (var member in page.Chunks.SelectMany(c => c.Members))
        {
            var (reply, why) = await FindWriterAsync(parts.Wire.LinkTo(member.Address), page.Chunks[0].Handle, writer.Writer, cancellation);
            if (reply is { Status: Status.Ok })
                return reply.AtStart?.LastSequence ?? 0;
            reason = $"{member.Address}: {why}";
        }
        throw new ClusterUnavailableException($"No replica of chunk {index} of {path} answered; the last reason was {reason}. Try again, or look at `semel cluster status`.");
    }

    private async Task<(FindWriterReply? Reply, string Reason)> FindWriterAsync(ILink server, ulong handle, ulong writer, CancellationToken cancellation)
    {
        var request = new FindWriterRequest { Handle = handle, Writer = writer };
        var result = await server.CallAsync(MessageKind.FindWriter, request, default, AttemptTimeout, cancellation);
        result.Payload.Release();
        cancellation.ThrowIfCancellationRequested();
        if (!result.IsAnswered)
            return (null, result.Detail ?? result.Outcome.ToString());
        var reply = result.Answer<FindWriterReply>();
        return (reply, reply.Status == Status.Ok ? "it is not the active primary" : $"{reply.Status} {reply.Detail}".TrimEnd());
    }

    private async Task<SemelRecord?> FindRecordAsync(ulong writer, ulong sequence, ulong chunk, bool onlyThatChunk, CancellationToken cancellation)
    {
        var reading = new RecordReading(parts, path).ReadAsync(new RecordPosition(chunk, 0, 0), follow: false, cancellation);
        await foreach (var record in reading.WithCancellation(cancellation))
        {
            if (onlyThatChunk && record.Position.ChunkIndex != chunk)
                return null;
            if (record.WriterId == writer && record.Sequence == sequence)
                return record;
        }
        return null;
    }

    /// <summary>The file need not know the writer any more, and nobody can resume it: what is not in the file now never will be. Reads the whole file.</summary>
    private async Task<OperationStatus> OfForgottenAsync(LookUpWriterReply writer, ulong sequence, CancellationToken cancellation)
    {
        var record = await FindRecordAsync(writer.Writer, sequence, 0, onlyThatChunk: false, cancellation);
        return record is { } found
            ? Found(writer, found, sequence)
            : Unread(OperationOutcome.Aborted, writer, writer.Epoch, sequence, 0, "the writer has expired and cannot be resumed, and the record is nowhere in the file");
    }

    private static OperationStatus Found(LookUpWriterReply writer, in SemelRecord record, ulong last) => new()
    {
        Outcome = OperationOutcome.Committed,
        WriterId = writer.Writer,
        Epoch = record.Epoch,
        Sequence = record.Sequence,
        LastSequence = last,
        Record = record,
        Reason = "it was read from the file",
    };

    private static OperationStatus Unread(OperationOutcome outcome, LookUpWriterReply writer, uint epoch, ulong sequence, ulong last, string reason) => new()
    {
        Outcome = outcome,
        WriterId = writer.Writer,
        Epoch = epoch,
        Sequence = sequence,
        LastSequence = last,
        Reason = reason,
    };
}
