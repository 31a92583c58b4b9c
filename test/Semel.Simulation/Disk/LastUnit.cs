using System.Buffers.Binary;
using Semel.Protocol.Frames;
using Semel.Simulation.Cluster;

namespace Semel.Simulation.Disk;

/// <summary>
/// Where the last thing that was written to a file begins and ends: a frame, a log entry, a slot; of any other file all of it.
/// </summary>
internal readonly record struct LastUnit(int Start, int End)
{
    private const int SlotStride = 512;
    private const int JournalHeader = 64, EntryHeader = 32;

    /// <param name="name">Tells what the file is.</param>
    /// <param name="bytes">Its bytes.</param>
    /// <param name="before">So many units before the last one.</param>
    /// <returns>Null: there is nothing in it.</returns>
    public static LastUnit? Of(string name, byte[] bytes, int before = 0)
    {
        List<LastUnit> units = Path.GetExtension(name) switch
        {
            ".chunk" => Frames(bytes, SimulatedCluster.HandleOf(name)),
            ".log" => Entries(bytes),
            ".meta" => Slots(bytes),
            _ when name == "generation" => Slots(bytes),
            _ => bytes.Length > 0 ? [new LastUnit(0, bytes.Length)] : [],
        };
        return units.Count == 0 ? null : units[Math.Max(0, units.Count - 1 - before)];
    }

    private static List<LastUnit> Frames(byte[] bytes, Protocol.Identity.ChunkHandle handle)
    {
        var found = new List<LastUnit>();
        for (var reader = new FrameReader(bytes, 0, FrameHeader.ChainSeed(handle)); reader.Read();)
            found.Add(new LastUnit((int)reader.Header.Offset, (int)reader.Offset));
        return found;
    }

    /// <summary>As in <c>docs/internals/journal.md</c>; written here once more, because the storage does not show its insides.</summary>
    private static List<LastUnit> Entries(byte[] bytes)
    {
        var found = new List<LastUnit>();
        for (int at = JournalHeader; at + EntryHeader <= bytes.Length && bytes.AsSpan(at, EntryHeader).ContainsAnyExcept((byte)0);)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(at + 4));
            int end = at + EntryHeader + ((length + 7) & ~7);
            if (length < 0 || end > bytes.Length)
                break;
            found.Add(new LastUnit(at, end));
            at = end;
        }
        return found;
    }

    private static List<LastUnit> Slots(byte[] bytes)
    {
        var found = new List<LastUnit>();
        for (int at = 0; at < bytes.Length; at += SlotStride)
            found.Add(new LastUnit(at, Math.Min(at + 128, bytes.Length)));
        return found;
    }
}
