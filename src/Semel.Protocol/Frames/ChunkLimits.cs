namespace Semel.Protocol.Frames;

/// <summary>Sizes that writers, primaries and the configuration agree on.</summary>
public static class ChunkLimits
{
    /// <summary>Smallest that a cluster may be configured for.</summary>
    public const uint MinCapacity = 1 << 20;

    /// <summary>Smallest that the protocol can work with: simulations use it, so that a roll-over is a common event.</summary>
    public const uint SmallestCapacity = 1 << 16;

    public const uint DefaultCapacity = 64 << 20;
    public const uint MaxCapacity = 256 << 20;

    /// <summary>Bytes at a chunk's end that only the SEAL frame may use.</summary>
    public const uint SealReserve = 4096;

    /// <summary>What a client puts into one batch, unless a single record is larger.</summary>
    public const int TargetBatchBytes = 1 << 20;

    /// <summary>Largest record: a quarter of the chunk, so that a chunk that is sealed early wastes at most a quarter; and at most 16 MiB.</summary>
    public static int MaxRecordLength(uint capacity) => (int)Math.Min(capacity / 4, 16 << 20);

    /// <summary>Largest payload of a Data frame: the largest record alone, or a batch up to <see cref="TargetBatchBytes"/> within that.</summary>
    public static int MaxBatchPayload(uint capacity) => RecordBatch.Footprint(MaxRecordLength(capacity));
}
