using Semel.Protocol.Identity;

namespace Semel.Client;

/// <summary>Where a record is, now that it is in the file for ever.</summary>
public readonly record struct AppendResult
{
    /// <summary>The id under which the record was appended; the sequence is 0 for an at-least-once writer.</summary>
    public OperationId Operation { get; init; }

    /// <summary>The record's place. Null when <see cref="Replayed"/>: the cluster knows that the record is in the file, not any more where.</summary>
    public RecordPosition? Position { get; init; }

    /// <summary>As <see cref="SemelRecord.OffsetInFile"/>; null with <see cref="Position"/>.</summary>
    public long? OffsetInFile { get; init; }

    /// <summary>When the primary took it in, by the primary's clock, to the millisecond; null with <see cref="Position"/>.</summary>
    public DateTimeOffset? Time { get; init; }

    /// <summary>True when the record had been committed before, so long ago that only the fact is remembered. Nothing was appended now.</summary>
    public bool Replayed { get; init; }

    /// <summary>The record's number in the writer's sequence.</summary>
    public ulong Sequence => Operation.Sequence;
}
