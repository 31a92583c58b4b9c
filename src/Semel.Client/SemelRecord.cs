using Semel.Protocol.Identity;

namespace Semel.Client;

/// <summary>A record as it is in the file: committed on every replica, checked end to end.</summary>
public readonly record struct SemelRecord
{
    /// <summary>Where it is; <see cref="RecordPosition.Next"/> goes on after it.</summary>
    public RecordPosition Position { get; init; }

    /// <summary>Where it is in the file taken as one sequence of bytes (chunk index times chunk capacity, and so on): its 4-byte length prefix is there.</summary>
    public long OffsetInFile { get; init; }

    /// <summary>Its bytes. They stay valid for as long as they are held; holding one record keeps up to 64 KiB of its neighbours in memory.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>Who appended it; 0 for an at-least-once writer.</summary>
    public ulong WriterId { get; init; }

    /// <summary>The writer's incarnation; 0 for an at-least-once writer.</summary>
    public uint Epoch { get; init; }

    /// <summary>Its number in the writer's sequence, dense from 1; 0 for an at-least-once writer.</summary>
    public ulong Sequence { get; init; }

    /// <summary>When the primary took it in, by the primary's clock, to the millisecond. Never goes back within a chunk.</summary>
    public DateTimeOffset Time { get; init; }

    /// <summary>Writer, epoch and sequence together.</summary>
    public OperationId Operation => new(new WriterId(WriterId), Epoch, Sequence);
}
