using System.Runtime.InteropServices;
using Semel.Protocol.Checksums;

namespace Semel.Storage.Journals;

/// <summary>Reads one entry of a segment and checks it; and when it is not good, looks for the one bit that would make it so.</summary>
internal static class EntryReader
{
    /// <summary>An entry, or why there is none. The bytes are valid until the reader is used again.</summary>
    public readonly record struct Result(EntryHeader Header, ReadOnlyMemory<byte> Bytes, string? Fault);

    /// <summary>The good entry with the number at the offset.</summary>
    public static Result Read(SegmentReader reader, long at, ulong number)
    {
        var result = ReadAny(reader, at);
        return result.Fault is null && !Fits(result.Header, number)
            ? new Result(default, default, $"entry {result.Header.Number}, settled {result.Header.Settled}, is where entry {number} should be")
            : result;
    }

    /// <summary>The good entry at the offset, whatever its number.</summary>
    public static Result ReadAny(SegmentReader reader, long at)
    {
        if (!EntryHeader.TryRead(reader.Read(at, EntryHeader.Size).Span, out var header, out string? fault))
            return new Result(default, default, fault);
        var padded = reader.Read(at + EntryHeader.Size, header.TotalLength - EntryHeader.Size);
        if (padded.Length < header.TotalLength - EntryHeader.Size)
            return new Result(default, default, $"the entry has {header.Length} bytes, the file ends after {padded.Length} of them");
        uint crc = Crc32C.Compute(padded.Span);
        return crc == header.PayloadCrc
            ? new Result(header, padded[..(int)header.Length], null)
            : new Result(default, default, $"entry checksum is {crc:x8}, its header says {header.PayloadCrc:x8}");
    }

    /// <summary>
    /// The only bit of the entry at the offset whose flip makes it good; both of its checksums, its number and <c>settled</c> must fit
    /// then.
    /// </summary>
    /// <param name="settledBefore">Of the entry before it.</param>
    /// <param name="mayBeTorn">
    /// The entry might also be a write of which not all reached the disk: what is missing reads as zeros, in whole words or from some byte
    /// on.
    /// </param>
    public static (int Byte, int Bit)? FindFlippedBit(SegmentReader reader, long at, ulong number, ulong settledBefore, out bool mayBeTorn)
    {
        mayBeTorn = true;
        byte[] damaged = reader.Read(at, EntryHeader.Size).ToArray();
        if (damaged.Length < EntryHeader.Size)
            return null;
        bool headerIsGood = EntryHeader.TryRead(damaged, out var header, out _) && Fits(header, number);
        (int Byte, int Bit)? bit = null;
        if (!headerIsGood)
        {
            bit = BitSearch.InHeader(damaged, candidate => EntryHeader.TryRead(candidate.Span, out header, out _) && Fits(header, number) && header.Settled >= settledBefore);
            if (bit is null)
                return null;
        }
        var padded = reader.Read(at + EntryHeader.Size, header.TotalLength - EntryHeader.Size).Span;
        if (padded.Length < header.TotalLength - EntryHeader.Size)
            return null;
        if (headerIsGood)
            bit = BitSearch.InBytes(padded, header.PayloadCrc) is { } found ? (EntryHeader.Size + found.Byte, found.Bit) : null;
        else if (Crc32C.Compute(padded) != header.PayloadCrc)
            return null;
        if (bit is { } candidate)
            mayBeTorn = MayBeTorn([.. damaged, .. padded], candidate);
        return bit;
    }

    /// <summary>A torn write has a word of zeros, or the bit is one that is missing with everything behind it.</summary>
    private static bool MayBeTorn(ReadOnlySpan<byte> entry, (int Byte, int Bit) bit) =>
        MemoryMarshal.Cast<byte, ulong>(entry).Contains(0UL)
        || ((entry[bit.Byte] & (1 << bit.Bit)) == 0 && !entry[bit.Byte..].ContainsAnyExcept((byte)0));

    private static bool Fits(in EntryHeader header, ulong number) => header.Number == number && header.Settled <= number;
}
