using Semel.Master.Identity;
using Semel.Protocol;
using Semel.Protocol.Identity;

namespace Semel.Master.Chunks;

/// <summary>
/// Gives handles away, each once for ever: they carry the epoch (<see cref="IdRange"/>), so a master that starts goes on behind all that
/// were ever given.
/// </summary>
internal sealed class HandleAllocator(MasterServices services)
{
    private ulong _next;

    /// <summary>No handle from here on has been given away yet.</summary>
    public ulong Next => Math.Max(_next, IdRange.FirstOf(services.State.Epoch));

    /// <summary>The epoch that it carries is durable.</summary>
    public async ValueTask<ChunkHandle> NextAsync()
    {
        var handle = new ChunkHandle(Next);
        Invariant.Holds(handle.Value < IdRange.EndOf(services.State.Epoch));
        _next = handle.Value + 1;
        await services.Journal.DurableAsync();
        return handle;
    }
}
