using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Semel.Protocol.Checksums;

namespace Semel.Storage.Journals;

/// <summary>
/// The first 64 bytes of a journal's segment. Little endian. Durable before the segment's first entry is written.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..63
///   4    4  magic 'S' 'J' 'N' 'L'
///   8    4  format version, 1
///  12    4  zero
///  16    8  segment number, as in the file's name
///  24    8  number of the first entry
///  32   32  zero
/// </code>
/// </summary>
internal readonly record struct SegmentHeader(ulong Segment, ulong FirstEntry)
{
    public const int Size = 64;
    public const uint Magic = 0x4C4E4A53;
    public const uint FormatVersion = 1;

    /// <summary>The name of a segment's file: eight decimal digits, so that ordinal order is the order of the segments.</summary>
    public static string NameOf(ulong segment) => segment.ToString("d8", CultureInfo.InvariantCulture) + ".log";

    public static bool TryParseName(string name, out ulong segment)
    {
        segment = 0;
        return name.EndsWith(".log", StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, name.Length - 4), NumberStyles.None, CultureInfo.InvariantCulture, out segment)
            && segment > 0
            && name == NameOf(segment);
    }

    public void Write(Span<byte> target)
    {
        target[..Size].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], FormatVersion);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], Segment);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], FirstEntry);
        BinaryPrimitives.WriteUInt32LittleEndian(target, Crc32C.Compute(target[4..Size]));
    }

    /// <summary>Reads and checks a header by itself. A header of a newer format is a fault too, and sets <paramref name="newerFormat"/>.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out SegmentHeader header, out uint newerFormat, [NotNullWhen(false)] out string? fault)
    {
        header = default;
        newerFormat = 0;
        if (source.Length < Size)
        {
            fault = $"{source.Length} bytes are too few for a segment header of {Size}";
            return false;
        }
        if (BinaryPrimitives.ReadUInt32LittleEndian(source[4..]) != Magic)
        {
            fault = "no journal magic";
            return false;
        }
        uint crc = BinaryPrimitives.ReadUInt32LittleEndian(source);
        uint actual = Crc32C.Compute(source[4..Size]);
        if (crc != actual)
        {
            fault = $"segment header checksum is {actual:x8}, the header says {crc:x8}";
            return false;
        }
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(source[8..]);
        if (version != FormatVersion)
        {
            newerFormat = version;
            fault = $"journal format {version}";
            return false;
        }
        header = new SegmentHeader(BinaryPrimitives.ReadUInt64LittleEndian(source[16..]), BinaryPrimitives.ReadUInt64LittleEndian(source[24..]));
        fault = null;
        return true;
    }
}
