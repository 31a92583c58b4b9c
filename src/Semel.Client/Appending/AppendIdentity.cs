using Semel.Protocol.Identity;

namespace Semel.Client.Appending;

/// <summary>Who appends: the writer and its incarnation, or nobody in particular.</summary>
internal sealed record AppendIdentity(WriterId Writer, uint Epoch)
{
    public static readonly AppendIdentity Anonymous = new(WriterId.Anonymous, 0);

    public bool IsAnonymous => Writer == WriterId.Anonymous;

    public OperationId Operation(ulong sequence) => new(Writer, Epoch, IsAnonymous ? 0 : sequence);

    public OperationId Operation(Batch batch, int index) => Operation(batch.FirstSequence + (ulong)index);
}
