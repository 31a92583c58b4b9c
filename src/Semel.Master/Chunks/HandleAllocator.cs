using Semel.Master.OperationLog;
using Semel.Protocol.Identity;

namespace Semel.Master.Chunks;

/// <summary>
/// Gives handles away, each once for ever: a block of them is reserved in the log before the first of it leaves, and a master that starts goes on behind the
/// last block.
/// </summary>
internal sealed class HandleAllocator(MasterServices services)
{
    /// <summary>No handle from here on has been given away yet.</summary>
    public ulong Next { get; private set; } = services.State.HandlesEnd;

    public async ValueTask<ChunkHandle> NextAsync()
    {
        if (Next == services.State.HandlesEnd)
        {
            ulong end = Next + (ulong)services.Options.HandleBlock;
            services.Journal.Append(new LogEntry { HandlesReserved = new HandlesReserved { End = end } });
        }
        var handle = new ChunkHandle(Next++);
        await services.Journal.DurableAsync();
        return handle;
    }
}
