namespace Semel.Master.Identity;

/// <summary>
/// Ids of files and writers and chunk handles are given once for ever, also by a master that lost the last entries of its log: each carries
/// the epoch in which it was given,
/// <c>epoch:28 | number:36</c>, and an epoch belongs to one master, because chunk servers serve one master of an epoch only. Below epoch 1
/// are the ids of older versions of Semel, plain numbers.
/// </summary>
internal static class IdRange
{
    private const int NumberBits = 36;

    /// <summary>A master that starts each second reaches it after eight years; a server that says more is not believed.</summary>
    public const ulong MaxEpoch = (1UL << (64 - NumberBits)) - 2;

    public static ulong FirstOf(ulong epoch) => (epoch << NumberBits) | 1;

    /// <summary>The first that does not belong to the epoch any more.</summary>
    public static ulong EndOf(ulong epoch) => (epoch + 1) << NumberBits;

    /// <summary>0: of an older version of Semel.</summary>
    public static ulong EpochOf(ulong id) => id >> NumberBits;

    /// <summary>The number within its epoch.</summary>
    public static ulong NumberOf(ulong id) => id & ((1UL << NumberBits) - 1);
}
