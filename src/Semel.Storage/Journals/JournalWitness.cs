using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Semel.Protocol.Checksums;

namespace Semel.Storage.Journals;

/// <summary>
/// One slot of the journal's <see cref="WitnessFile"/>: every entry up to <paramref name="Entry"/> was durable, and its bytes end at an
/// offset of a segment. Little endian.
/// <code>
/// off size
///   0    4  CRC32C of bytes 4..63
///   4    4  magic 'S' 'J' 'W' '1'
///   8    8  count: how many there were before this one; it is in slot (count mod 2)
///  16    8  entry: every entry up to this one was durable
///  24    8  segment: the last one that there was; its header was durable
///  32    8  where the entry ends in that segment; 64 when the segment had none yet
///  40   24  zero
/// </code>
/// It is only ever a lower bound: the journal may have grown since.
/// </summary>
internal readonly record struct JournalWitness(ulong Count, ulong Entry, ulong Segment, ulong Offset)
{
    public const int Size = 64;
    private const uint Magic = 0x31574A53;

    public void Write(Span<byte> target)
    {
        target[..Size].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Count);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], Entry);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], Segment);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(target, Crc32C.Compute(target[4..Size]));
    }

    public static bool TryRead(ReadOnlySpan<byte> source, out JournalWitness witness, [NotNullWhen(false)] out string? fault)
    {
        witness = default;
        if (source.Length < Size)
        {
            fault = $"{source.Length} bytes are too few for a slot of {Size}";
            return false;
        }
        if (BinaryPrimitives.ReadUInt32LittleEndian(source[4..]) != Magic)
        {
            fault = "no magic of a witness";
            return false;
        }
        uint crc = BinaryPrimitives.ReadUInt32LittleEndian(source);
        uint actual = Crc32C.Compute(source[4..Size]);
        if (crc != actual)
        {
            fault = $"slot checksum is {actual:x8}, the slot says {crc:x8}";
            return false;
        }
        witness = new JournalWitness(
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[32..]));
        fault = null;
        return true;
    }
}
