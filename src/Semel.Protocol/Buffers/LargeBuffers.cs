using System.Numerics;

namespace Semel.Protocol.Buffers;

/// <summary>
/// Byte arrays from 64 KiB on, kept for the next one who needs one. The shared pool of the base library keeps few of these; a miss there is an allocation in the large object
/// heap that the collector gives back to the system soon after, so that every batch would touch fresh memory. The last one returned goes out first: it is still warm.
/// </summary>
internal static class LargeBuffers
{
    public const int Smallest = 64 << 10;

    /// <summary>Largest that is kept, 16 MiB.</summary>
    private const int Classes = 9;

    /// <summary>All that is kept together; more is left to the collector.</summary>
    private const long MostKeptBytes = 256L << 20;

    private static readonly Stack<byte[]>[] Kept = [.. Enumerable.Range(0, Classes).Select(_ => new Stack<byte[]>())];     // each guarded by itself
    private static long _keptBytes;

    public static byte[] Rent(int minimumBytes)
    {
        int size = ClassOf(minimumBytes);
        if (size >= Classes)
            return GC.AllocateUninitializedArray<byte>(minimumBytes);
        var kept = Kept[size];
        lock (kept)
        {
            if (kept.TryPop(out byte[]? bytes))
            {
                Interlocked.Add(ref _keptBytes, -bytes.Length);
                return bytes;
            }
        }
        return GC.AllocateUninitializedArray<byte>(Smallest << size);
    }

    public static void Return(byte[] bytes)
    {
        int size = ClassOf(bytes.Length);
        if (size >= Classes || Interlocked.Add(ref _keptBytes, bytes.Length) > MostKeptBytes)
        {
            if (size < Classes)
                Interlocked.Add(ref _keptBytes, -bytes.Length);
            return;
        }
        var kept = Kept[size];
        lock (kept)
            kept.Push(bytes);
    }

    /// <summary>0 for up to 64 KiB, 1 for up to 128 KiB, and so on.</summary>
    private static int ClassOf(int bytes) => Math.Max(0, BitOperations.Log2((uint)(bytes - 1)) - BitOperations.Log2(Smallest) + 1);
}
