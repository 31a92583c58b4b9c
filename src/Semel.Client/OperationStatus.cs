namespace Semel.Client;

/// <summary>What became of an append.</summary>
public enum OperationOutcome
{
    /// <summary>The record is in the file, once, at the place that is given.</summary>
    Committed = 1,

    /// <summary>The record is not in the file, and never will be under this operation id: every incarnation of the writer that could append it is fenced.</summary>
    Aborted = 2,

    /// <summary>The record is not in the file now; a living incarnation of the writer may still append it. Ask again with <c>settle</c>, or repeat the append.</summary>
    InDoubt = 3,
}

/// <summary>The answer to <see cref="SemelClient.GetOperationStatusAsync"/>.</summary>
public sealed class OperationStatus
{
    /// <summary>What became of it.</summary>
    public required OperationOutcome Outcome { get; init; }

    /// <summary>The cluster's number for the writer.</summary>
    public required ulong WriterId { get; init; }

    /// <summary>Committed: the incarnation that appended it. Aborted: the last one that is fenced. In doubt: the newest one.</summary>
    public required uint Epoch { get; init; }

    /// <summary>The record's number in the writer's sequence.</summary>
    public required ulong Sequence { get; init; }

    /// <summary>The last sequence of the writer that is in the file.</summary>
    public required ulong LastSequence { get; init; }

    /// <summary>The record, when it is committed.</summary>
    public SemelRecord? Record { get; init; }

    /// <summary>How that is known, in words.</summary>
    public required string Reason { get; init; }
}
