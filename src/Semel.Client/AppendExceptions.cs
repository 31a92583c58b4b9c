using Semel.Protocol.Identity;

namespace Semel.Client;

/// <summary>
/// The record or batch may or may not be in the file, or may still get there; <see cref="Exception.InnerException"/> says why nobody knows, when it is
/// more than time. It is never in the file twice. What to do: repeat it under the same writer name and sequence (<see cref="RecordWriter.AppendAsync(ulong, ReadOnlyMemory{byte}, CancellationToken)"/>).
/// </summary>
public sealed class AppendInDoubtException : SemelException
{
    internal AppendInDoubtException(string message, IReadOnlyList<OperationId> operations, Exception? inner = null) : base(message, inner) =>
        Operations = operations;

    /// <summary>The operations that are in doubt: one, or all of an atomic batch. The sequence is 0 for an at-least-once writer.</summary>
    public IReadOnlyList<OperationId> Operations { get; }

    /// <summary>True: the cluster settles it when the operation is repeated.</summary>
    public override bool IsRetryable => true;

    /// <summary>Always true.</summary>
    public override bool InDoubt => true;
}

/// <summary>The caller's token was cancelled before the append was over.</summary>
public sealed class AppendCanceledException : OperationCanceledException
{
    internal AppendCanceledException(string message, OperationId? operation, CancellationToken token) : base(message, token) => Operation = operation;

    /// <summary>The operation; null when the record had not been taken yet.</summary>
    public OperationId? Operation { get; }

    /// <summary>True when the record may still get into the file; false when it was never taken and never will be there.</summary>
    public bool InDoubt => Operation is not null;
}

/// <summary>A record (or an atomic batch with 4 bytes for each record) is longer than a quarter of the file's chunks. Nothing was taken.</summary>
public sealed class RecordTooLargeException : SemelException
{
    internal RecordTooLargeException(string what, long length, long limit)
        : base($"The {what} has {length} bytes; this file takes {limit} at most. Split it, or use a cluster with larger chunks.")
    {
        Length = length;
        Limit = limit;
    }

    /// <summary>Bytes that were given.</summary>
    public long Length { get; }

    /// <summary>Bytes that are allowed.</summary>
    public long Limit { get; }
}
