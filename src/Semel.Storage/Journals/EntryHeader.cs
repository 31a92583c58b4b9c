using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol;
using Semel.Protocol.Checksums;

namespace Semel.Storage.Journals;

/// <summary>
/// The 32 bytes before an entry's own bytes. Little endian. An entry starts at a multiple of 8; zeros fill up behind its bytes.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..31
///   4    4  length of the entry's bytes
///   8    8  entry number: from 1, without gaps
///  16    8  settled: every entry below this number was durable before this one was written
///  24    4  CRC32C of the entry's bytes and their filler
///  28    4  zero
/// </code>
/// <c>settled</c> tells a torn write from damage. When entry n cannot be read, a later good entry with settled &gt; n proves that n had been durable, and
/// perhaps acknowledged; without such a proof n belongs to the last group, which no flush had completed.
/// </summary>
internal readonly record struct EntryHeader(uint Length, ulong Number, ulong Settled, uint PayloadCrc)
{
    public const int Size = 32;
    public const int Alignment = 8;

    /// <summary>Bytes that the entry takes in the segment: header, bytes, filler.</summary>
    public int TotalLength => TotalLengthOf((int)Length);

    public static int TotalLengthOf(int length) => Size + ((length + (Alignment - 1)) & ~(Alignment - 1));

    /// <summary>Writes the whole entry, filler included, to the front of <paramref name="target"/>.</summary>
    public static void WriteEntry(Span<byte> target, ReadOnlySpan<byte> entry, ulong number, ulong settled)
    {
        var padded = target[Size..TotalLengthOf(entry.Length)];
        entry.CopyTo(padded);
        padded[entry.Length..].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], (uint)entry.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], number);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], settled);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], Crc32C.Compute(padded));
        BinaryPrimitives.WriteUInt32LittleEndian(target[28..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(target, Crc32C.Compute(target[4..Size]));
    }

    /// <summary>Reads and checks a header by itself.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out EntryHeader header, [NotNullWhen(false)] out string? fault)
    {
        header = default;
        if (source.Length < Size)
        {
            fault = $"{source.Length} bytes are too few for an entry header of {Size}";
            return false;
        }
        uint crc = BinaryPrimitives.ReadUInt32LittleEndian(source);
        uint actual = Crc32C.Compute(source[4..Size]);
        if (crc != actual)
        {
            fault = $"entry header checksum is {actual:x8}, the header says {crc:x8}";
            return false;
        }
        header = new EntryHeader(
            BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[24..]));
        if (header.Length > Journal.MaxEntryBytes)
        {
            fault = $"entry of {header.Length} bytes; {Journal.MaxEntryBytes} are allowed";
            return false;
        }
        fault = null;
        return true;
    }

    /// <summary>Cheap test for the search of a proof behind damage: might these bytes be a header that proves <paramref name="number"/> durable?</summary>
    public static bool MayProve(ReadOnlySpan<byte> source, ulong number)
    {
        Invariant.Holds(source.Length >= Size);
        ulong settled = BinaryPrimitives.ReadUInt64LittleEndian(source[16..]);
        return settled > number && settled <= BinaryPrimitives.ReadUInt64LittleEndian(source[8..]);
    }
}
