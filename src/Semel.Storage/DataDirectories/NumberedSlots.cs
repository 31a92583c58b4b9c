using System.Buffers.Binary;
using Semel.Protocol.Checksums;
using Semel.Storage.Disks;

namespace Semel.Storage.DataDirectories;

/// <summary>
/// A file of two slots, at 0 and at <see cref="Stride"/>. Each write has a higher number than the one before it and goes to the other slot,
/// so that a torn write loses nothing; the valid slot with the higher number counts. The file never grows: writing needs no space.
/// <code>
/// off size
///   0    4  CRC32C of the bytes from 4 to the slot's end
///   4    4  magic
///   8    8  number of the write, from 1; it is in slot (number mod 2)
///  16       content
/// </code>
/// </summary>
/// <param name="name">Of the file.</param>
/// <param name="magic">Of its kind.</param>
/// <param name="contentSize">Bytes of the content; may be 0.</param>
internal sealed class NumberedSlots(string name, uint magic, int contentSize)
{
    public const int HeaderSize = 16;
    public const int Stride = 512;

    private readonly int _slotSize = HeaderSize + contentSize;

    /// <summary>The highest valid number and its content; 0: there is none, and the content stays as it was.</summary>
    public ulong Read(IDisk disk, Span<byte> content)
    {
        if (!disk.FileExists(name))
            return 0;
        using var file = disk.Open(name, create: false);
        ulong newest = 0;
        Span<byte> slot = stackalloc byte[_slotSize];
        for (int i = 0; i < 2; i++)
        {
            bool isValid = file.Read(i * Stride, slot) == _slotSize
                && BinaryPrimitives.ReadUInt32LittleEndian(slot) == Crc32C.Compute(slot[4..])
                && BinaryPrimitives.ReadUInt32LittleEndian(slot[4..]) == magic;
            if (!isValid || BinaryPrimitives.ReadUInt64LittleEndian(slot[8..]) is var number && number <= newest)
                continue;
            newest = number;
            slot[HeaderSize..].CopyTo(content);
        }
        return newest;
    }

    /// <summary>Durable on return, the file's name too: a process that was killed may have made the file and not come so far.</summary>
    /// <exception cref="IOException">The disk failed; what the file says is the old or the new.</exception>
    public async ValueTask WriteAsync(IDisk disk, ulong number, ReadOnlyMemory<byte> content)
    {
        using var file = disk.Open(name, create: !disk.FileExists(name));
        if (file.Length < Stride + _slotSize)
            file.Write(0, new byte[Stride + _slotSize]);     // both slots, so that no later write needs space
        var slot = new byte[_slotSize];
        BinaryPrimitives.WriteUInt32LittleEndian(slot.AsSpan(4), magic);
        BinaryPrimitives.WriteUInt64LittleEndian(slot.AsSpan(8), number);
        content.Span.CopyTo(slot.AsSpan(HeaderSize));
        BinaryPrimitives.WriteUInt32LittleEndian(slot, Crc32C.Compute(slot.AsSpan(4)));
        file.Write((long)(number % 2) * Stride, slot);
        await file.FlushAsync();
        await disk.FlushDirectoryAsync("");
    }
}
