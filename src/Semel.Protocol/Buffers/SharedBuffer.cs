using System.Buffers;
using Semel.Protocol.Checksums;

namespace Semel.Protocol.Buffers;

/// <summary>
/// Pooled bytes with a reference count, so that one group of frames can be written to the disk and sent to two
/// secondaries without a copy. Whoever holds a reference must <see cref="Release"/> it exactly once; the bytes must not be
/// touched after that. A reference that is forgotten costs a pool miss, never wrong data.
/// </summary>
public sealed class SharedBuffer
{
    private readonly byte[] _bytes;
    private int _references;

    private SharedBuffer(byte[] bytes)
    {
        _bytes = bytes;
        _references = 1;
    }

    /// <summary>A buffer of at least <paramref name="minimumBytes"/> with one reference, the caller's. Its content is undefined.</summary>
    public static SharedBuffer Rent(int minimumBytes) =>
        new(minimumBytes < LargeBuffers.Smallest ? ArrayPool<byte>.Shared.Rent(minimumBytes) : LargeBuffers.Rent(minimumBytes));

    public static SharedBuffer CopyOf(ReadOnlySpan<byte> bytes)
    {
        var buffer = Rent(bytes.Length);
        bytes.CopyTo(buffer._bytes);
        return buffer;
    }

    /// <summary>At least what was rented.</summary>
    public int Capacity => _bytes.Length;

    public Span<byte> Span
    {
        get
        {
            Invariant.Holds(Volatile.Read(ref _references) > 0);
            return _bytes;
        }
    }

    public Memory<byte> Memory
    {
        get
        {
            Invariant.Holds(Volatile.Read(ref _references) > 0);
            return _bytes;
        }
    }

    public SharedBuffer Retain()
    {
        int now = Interlocked.Increment(ref _references);
        Invariant.Holds(now > 1);
        return this;
    }

    public void Release()
    {
        int now = Interlocked.Decrement(ref _references);
        Invariant.Holds(now >= 0);
        if (now != 0)
            return;
        if (_bytes.Length < LargeBuffers.Smallest)
            ArrayPool<byte>.Shared.Return(_bytes);
        else
            LargeBuffers.Return(_bytes);
    }
}

/// <summary>
/// A range of a <see cref="SharedBuffer"/>, or nothing. Copying the struct does not add a reference: who passes a payload
/// on says whether the reference goes with it.
/// </summary>
public readonly record struct Payload(SharedBuffer? Buffer, int Offset, int Length)
{
    public static readonly Payload Empty;

    /// <summary>CRC32C of the bytes, when somebody has computed it, or compared it, on the way here.</summary>
    public uint? KnownCrc { get; init; }

    /// <summary>CRC32C of the bytes. Computed when nobody has.</summary>
    public uint Crc => KnownCrc ?? Crc32C.Compute(Span);

    /// <summary>A payload that owns the one reference to a fresh copy of <paramref name="bytes"/>.</summary>
    public static Payload CopyOf(ReadOnlySpan<byte> bytes) => bytes.IsEmpty ? Empty : new(SharedBuffer.CopyOf(bytes), 0, bytes.Length);

    public ReadOnlySpan<byte> Span => Buffer is null ? default : Buffer.Span.Slice(Offset, Length);
    public ReadOnlyMemory<byte> Memory => Buffer is null ? default : Buffer.Memory.Slice(Offset, Length);

    public Payload Retain()
    {
        Buffer?.Retain();
        return this;
    }

    public void Release() => Buffer?.Release();
}
