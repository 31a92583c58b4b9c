using Semel.ChunkServer.Replicas;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.ChunkServer.Appending;

/// <summary>What becomes of a call that wants a frame in the log.</summary>
internal enum VerdictKind
{
    /// <summary>It is settled already: answered, and nothing is sequenced.</summary>
    Answer = 1,

    /// <summary>Its frame is in flight: it is answered together with the one that brought it.</summary>
    ShareFate,

    /// <summary>It is new: a frame of its own.</summary>
    Sequence,
}

/// <param name="Place">Where the batch is, when it is known.</param>
/// <param name="LastSequence">Of the writer, as the status demands.</param>
/// <param name="Memory">Of the writer, for an INIT that is committed already.</param>
internal readonly record struct Verdict(VerdictKind Kind, AppendStatus Status, BatchPlace Place, ulong LastSequence, string Detail, WriterMemory? Memory = null)
{
    public static readonly Verdict Sequence = new(VerdictKind.Sequence, AppendStatus.Unspecified, default, 0, "");

    public static Verdict Refuse(AppendStatus status, string detail, ulong lastSequence = 0) => new(VerdictKind.Answer, status, default, lastSequence, detail);

    public static Verdict Committed(in BatchPlace place) => new(VerdictKind.Answer, AppendStatus.Committed, place, place.LastSequence, "");

    public static Verdict ShareFateOf(in BatchPlace place) => new(VerdictKind.ShareFate, AppendStatus.Committed, place, place.LastSequence, "");
}

/// <summary>
/// Exactly once, decided: by what the file remembers of its writers. What is committed is answered from the committed state only; what is in flight
/// shares that frame's fate and is never sequenced twice; sequences are dense, so what is older than the window was committed.
/// </summary>
internal sealed class AppendJudge(Replica replica, ChunkServerOptions options)
{
    private ReplicaLog Log => replica.Log;

    /// <param name="takesNothingMore">The chunk is being sealed.</param>
    public Verdict OfAppend(AppendRequest request, in Payload payload, bool takesNothingMore)
    {
        if (FaultOf(request, payload) is { } refusal)
            return refusal;
        return request.Writer == WriterId.Anonymous.Value ? Verdict.Sequence : OfSequences(request, takesNothingMore);
    }

    private Verdict? FaultOf(AppendRequest request, in Payload payload)
    {
        uint capacity = Log.Chunk.Capacity;
        if (request.RecordCount is 0 or > RecordBatch.MaxRecords)
            return Verdict.Refuse(AppendStatus.Refused, $"A batch of {request.RecordCount} records is not between 1 and {RecordBatch.MaxRecords}.");
        if (payload.Length > ChunkLimits.MaxBatchPayload(capacity))
            return Verdict.Refuse(AppendStatus.TooBig,
                $"The batch has {payload.Length} bytes; in chunks of {capacity} bytes a record may have {ChunkLimits.MaxRecordLength(capacity)}.");
        if (request.Writer == 0 ? request.FirstSequence != 0 || request.Epoch != 0 : request.FirstSequence == 0)
            return Verdict.Refuse(AppendStatus.Refused, $"Writer {request.Writer} and first sequence {request.FirstSequence} do not go together.");
        if (payload.Crc != request.PayloadCrc)
            return Verdict.Refuse(AppendStatus.Refused, "The batch's bytes do not match its checksum: they were damaged before they came here.");
        if (!RecordBatch.IsWellFormed(payload.Span, request.RecordCount))
            return Verdict.Refuse(AppendStatus.Refused, $"The batch's bytes are not {request.RecordCount} records with their lengths.");
        return null;
    }

    private Verdict OfSequences(AppendRequest request, bool takesNothingMore)
    {
        var writer = new WriterId(request.Writer);
        if (!Log.Table.TryGet(writer, out var entry) || request.Epoch > entry.Epoch)
            return Verdict.Refuse(AppendStatus.UnknownWriter, $"Writer {writer} was not initialised in epoch {request.Epoch}.", entry?.LastSequence ?? 0);
        if (request.Epoch < entry.Epoch)
            return Fenced(writer, request.Epoch, entry);
        ulong first = request.FirstSequence, last = first + request.RecordCount - 1;
        if (first == entry.LastSequence + 1)
        {
            // The next one. With a full window in flight its place would push out one that is not committed yet.
            return entry.PlaceCount < WriterEntry.Window || !IsInFlight(entry.Place(0))
                ? Verdict.Sequence
                : Verdict.Refuse(AppendStatus.Busy, $"Writer {writer} has {WriterEntry.Window} batches in flight already.");
        }
        if (first > entry.LastSequence)
        {
            // In a chunk that takes nothing more the batch before it went to the next chunk, or will: so does this one.
            return takesNothingMore ? Verdict.Sequence : Verdict.Refuse(AppendStatus.OutOfOrder, "", entry.LastSequence);
        }
        if (last <= entry.LastSequence && entry.TryFind(first, out var place))
        {
            if (place.FirstSequence != first || place.RecordCount != request.RecordCount || place.PayloadCrc != request.PayloadCrc)
                return Verdict.Refuse(AppendStatus.OperationIdReused, $"Sequences {first} to {last} of writer {writer} were appended before with other bytes or in other batches.");
            return IsInFlight(place) ? Verdict.ShareFateOf(place) : Verdict.Committed(place);
        }
        return last <= CommittedSequenceOf(entry)
            ? Verdict.Refuse(AppendStatus.AlreadyCommitted, "", CommittedSequenceOf(entry))
            : Verdict.Refuse(AppendStatus.OperationIdReused, $"Sequences {first} to {last} of writer {writer} overlap what was appended before, up to {entry.LastSequence}, in other batches.");
    }

    /// <summary>
    /// INIT is a frame of the log: once it is committed no frame of an older epoch can ever be sequenced, so the last sequence that it
    /// reports is final. It is the barrier that settles everything the writer's earlier incarnation left in doubt.
    /// </summary>
    public Verdict OfInit(InitWriterRequest request)
    {
        var writer = new WriterId(request.Writer);
        if (writer == WriterId.Anonymous || request.Epoch == 0)
            return Verdict.Refuse(AppendStatus.Refused, $"Writer {request.Writer} in epoch {request.Epoch} is no writer.");
        if (!Log.Table.TryGet(writer, out var entry))
        {
            if (writer <= Log.Table.HighestEvicted)
                return Verdict.Refuse(AppendStatus.UnknownWriter, $"The file does not know writer {writer}, and has forgotten writers up to {Log.Table.HighestEvicted}.");
            return Log.Table.Count < options.MaxWritersPerFile
                ? Verdict.Sequence
                : Verdict.Refuse(AppendStatus.TooManyWriters, $"The file knows {Log.Table.Count} writers already.");
        }
        if (request.Epoch < entry.Epoch)
            return Fenced(writer, request.Epoch, entry);
        return request.Epoch == entry.Epoch
            ? new Verdict(VerdictKind.ShareFate, AppendStatus.Committed, default, CommittedSequenceOf(entry), "", entry.MemoryUpTo(CommittedSequenceOf(entry)))
            : Verdict.Sequence;
    }

    /// <summary>A writer that was closed with nothing in doubt need not be remembered.</summary>
    public Verdict OfEviction(EvictWriterRequest request)
    {
        var writer = new WriterId(request.Writer);
        if (!Log.Table.TryGet(writer, out var entry))
            return new Verdict(VerdictKind.Answer, AppendStatus.Committed, default, 0, "");
        if (request.Epoch != entry.Epoch)
            return Fenced(writer, request.Epoch, entry);
        return CommittedSequenceOf(entry) == entry.LastSequence
            ? Verdict.Sequence
            : Verdict.Refuse(AppendStatus.Busy, $"Writer {writer} has batches in flight.");
    }

    /// <summary>The older incarnation may count on it that nothing of its own is sequenced any more: not before the INIT of the newer one is committed.</summary>
    private Verdict Fenced(WriterId writer, uint epoch, WriterEntry entry)
    {
        string detail = $"Epoch {entry.Epoch} of writer {writer} took over from epoch {epoch}.";
        return entry.InitOffset >= replica.Committed ? Verdict.Refuse(AppendStatus.Retry, detail) : Verdict.Refuse(AppendStatus.Fenced, detail, entry.LastSequence);
    }

    private bool IsInFlight(in BatchPlace place) => place.ChunkIndex == Log.Chunk.Index && place.Offset >= replica.Committed;

    /// <summary>The writer's last sequence below the watermark.</summary>
    public ulong CommittedSequenceOf(WriterEntry entry)
    {
        for (int i = 0; i < entry.PlaceCount; i++)
        {
            if (IsInFlight(entry.Place(i)))
                return entry.Place(i).FirstSequence - 1;
        }
        return entry.LastSequence;
    }
}
