using System.Buffers.Binary;

namespace Semel.Peers;

/// <summary>Records that carry their client (4 bytes) and their number there (8 bytes), so that what is stored can be held against what was acknowledged.</summary>
internal static class NumberedRecords
{
    private const int HeaderLength = sizeof(int) + sizeof(long);

    /// <param name="record">At least 12 bytes. The rest repeats the number's lowest byte.</param>
    public static void Compose(Span<byte> record, int client, long number)
    {
        BinaryPrimitives.WriteInt32LittleEndian(record, client);
        BinaryPrimitives.WriteInt64LittleEndian(record[sizeof(int)..], number);
        record[HeaderLength..].Fill((byte)number);
    }

    /// <summary>Null: every acknowledged record is stored exactly once and whole, and nothing else is.</summary>
    public static string? FaultOf(ReadOnlySpan<byte> stored, int size, ClientCount[] counts)
    {
        long acknowledged = counts.Sum(c => c.Acknowledged);
        if (stored.Length != acknowledged * size)
            return $"{acknowledged} records of {size} bytes were acknowledged, {stored.Length} bytes are stored.";
        var seen = counts.Select(c => new bool[c.Acknowledged]).ToArray();
        for (int at = 0; at < stored.Length; at += size)
        {
            var record = stored.Slice(at, size);
            int client = BinaryPrimitives.ReadInt32LittleEndian(record);
            long number = BinaryPrimitives.ReadInt64LittleEndian(record[sizeof(int)..]);
            bool isExpected = (uint)client < seen.Length && (ulong)number < (ulong)seen[client].Length && !seen[client][number];
            if (!isExpected || record[HeaderLength..].ContainsAnyExcept((byte)number))
                return $"What is stored at byte {at} is torn, or stored twice, or was never acknowledged.";
            seen[client][number] = true;
        }
        return null;
    }
}
