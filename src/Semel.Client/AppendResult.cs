using Semel.Protocol.Identity;

namespace Semel.Client;

/// <summary>Where a record is, now that it is in the file for ever.</summary>
public readonly record struct AppendResult
{
    /// <summary>The id under which the record was appended; the sequence is 0 for an at-least-once writer.</summary>
    public OperationId Operation { get; init; }

    /// <summary>
    /// The record's place. Null when the cluster knows that the record is in the file, and not any more where: it is <see cref="Replayed"/>
    /// and was not compared.
    /// </summary>
    public RecordPosition? Position { get; init; }

    /// <summary>As <see cref="SemelRecord.OffsetInFile"/>; null with <see cref="Position"/>.</summary>
    public long? OffsetInFile { get; init; }

    /// <summary>When the primary took it in, by the primary's clock, to the millisecond; null with <see cref="Position"/>.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>
    /// True when a record of that sequence had been committed before, by an earlier incarnation or so long ago that only the fact is
    /// remembered. Nothing was appended now.
    /// </summary>
    public bool Replayed { get; init; }

    /// <summary>Whether the bytes that were given are those in the file, when a sequence of an earlier incarnation was repeated.</summary>
    public ReplayComparison Comparison { get; init; }

    /// <summary>The record's number in the writer's sequence.</summary>
    public ulong Sequence => Operation.Sequence;
}
