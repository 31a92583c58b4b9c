using System.Numerics;
using System.Text;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Semel.EndToEnd;

/// <summary>A frame as the disk has it; docs/internals/frames.md says what the fields are.</summary>
internal sealed record DiskFrame(byte Kind, uint Offset, uint End, ulong Writer, uint Epoch, ulong FirstSequence, uint Committed, byte[] Payload, ushort RecordCount)
{
    public const byte Data = 1, InitWriter = 2, Seal = 3, EvictWriter = 4;

    public IEnumerable<string> Records()
    {
        for (int at = 0; at + 4 <= Payload.Length;)
        {
            int length = (int)ReadUInt32LittleEndian(Payload.AsSpan(at));
            yield return Encoding.UTF8.GetString(Payload, at + 4, length);
            at += 4 + length;
        }
    }
}

/// <summary>One replica in a data directory: what its metadata say, and its frames up to the first that does not verify.</summary>
internal sealed record DiskReplica(string File, ulong Handle, ulong FileId, ulong Index, List<DiskFrame> Frames)
{
    public uint End => Frames.Count == 0 ? 0 : Frames[^1].End;
    public bool IsSealed => Frames.Count > 0 && Frames[^1].Kind == DiskFrame.Seal;
    public IEnumerable<string> Records => Frames.Where(f => f.Kind == DiskFrame.Data).SelectMany(f => f.Records());
}

/// <summary>
/// Reads what is on the disks, without any code of <c>src</c>: tests that ask whether a record survived need not trust the programs that
/// say so. Use it while the servers stand still, or on sealed chunks. It does not know what is committed: it says which frames there are,
/// and whether they fit together.
/// </summary>
internal static class DiskJudge
{
    private const int HeaderBytes = 64, SlotBytes = 128, SecondSlot = 512;
    private static readonly byte[] Zeros = new byte[8];

    /// <summary>All replicas in a chunk server's data directory.</summary>
    public static List<DiskReplica> Replicas(string dataDirectory) =>
        [.. (Directory.Exists(Path.Combine(dataDirectory, "chunks")) ? Directory.GetFiles(Path.Combine(dataDirectory, "chunks"), "*.meta", SearchOption.AllDirectories) : [])
            .Order(StringComparer.Ordinal).Select(meta => Replica(Path.ChangeExtension(meta, ".chunk"), meta)).OfType<DiskReplica>()];

    /// <summary>The longest copy of each chunk of a file over all the directories, in the order of the file.</summary>
    public static List<DiskReplica> LongestCopies(ulong fileId, params IEnumerable<string> dataDirectories) =>
        [.. dataDirectories.SelectMany(Replicas).Where(r => r.FileId == fileId && r.Frames.Count > 0)
            .GroupBy(r => r.Index).OrderBy(g => g.Key).Select(g => g.MaxBy(r => r.End)!)];

    /// <summary>
    /// What does not fit together in a file's chunks: a sequence that is there again or left out, an epoch that goes back, a record of a
    /// fenced one, a chunk that is missing or was never sealed although another follows. Empty: each named record is there once, in order.
    /// </summary>
    public static List<string> FaultsOf(IReadOnlyList<DiskReplica> chunks)
    {
        var faults = new List<string>();
        var writers = new Dictionary<ulong, (uint Epoch, ulong Last)>();
        for (int i = 0; i < chunks.Count; i++)
        {
            if (chunks[i].Index != (ulong)i)
                faults.Add($"chunk {chunks[i].Index} follows {i - 1}");
            if (!chunks[i].IsSealed && i + 1 < chunks.Count)
                faults.Add($"chunk {i} is not sealed");
            foreach (var frame in chunks[i].Frames.Where(f => f.Writer != 0))
            {
                var (epoch, last) = writers.GetValueOrDefault(frame.Writer);
                string where = $"chunk {i}, offset {frame.Offset}, writer {frame.Writer}:";
                if (frame.Kind == DiskFrame.InitWriter && frame.Epoch <= epoch)
                    faults.Add($"{where} epoch {frame.Epoch} after {epoch}");
                if (frame.Kind == DiskFrame.InitWriter)
                    writers[frame.Writer] = (frame.Epoch, last);
                if (frame.Kind == DiskFrame.EvictWriter)
                    writers.Remove(frame.Writer);
                if (frame.Kind != DiskFrame.Data)
                    continue;
                if (frame.Epoch != epoch)
                    faults.Add($"{where} a record of epoch {frame.Epoch}, the writer is in {epoch}");
                if (frame.FirstSequence != last + 1)
                    faults.Add($"{where} sequence {frame.FirstSequence} after {last}");
                writers[frame.Writer] = (epoch, Math.Max(last, frame.FirstSequence + frame.RecordCount - 1));
            }
        }
        return faults;
    }

    private static DiskReplica? Replica(string file, string metaFile)
    {
        byte[] meta = ReadAll(metaFile);
        ReadOnlySpan<byte> newest = default;
        foreach (int at in new[] { 0, SecondSlot })
        {
            if (meta.Length < at + SlotBytes)
                continue;
            var slot = meta.AsSpan(at, SlotBytes);
            if (slot[4] == 'S' && slot[5] == 'M' && Crc(slot[4..]) == ReadUInt32LittleEndian(slot)
                && (newest.IsEmpty || ReadUInt64LittleEndian(slot[8..]) > ReadUInt64LittleEndian(newest[8..])))
                newest = slot;
        }
        if (newest.IsEmpty || !File.Exists(file))
            return null;
        ulong handle = ReadUInt64LittleEndian(newest[16..]);
        return new DiskReplica(file, handle, ReadUInt64LittleEndian(newest[24..]), ReadUInt64LittleEndian(newest[32..]), Frames(ReadAll(file), handle));
    }

    private static List<DiskFrame> Frames(byte[] bytes, ulong handle)
    {
        var frames = new List<DiskFrame>();
        byte[] seed = new byte[8];
        WriteUInt64LittleEndian(seed, handle);
        uint chain = Crc(seed);
        for (int at = 0; at + HeaderBytes <= bytes.Length;)
        {
            var header = bytes.AsSpan(at, HeaderBytes);
            uint length = ReadUInt32LittleEndian(header[8..]);
            long end = at + HeaderBytes + ((length + 7L) & ~7L);
            if (header[4] != 'S' || header[5] != 'F' || Crc(header[4..]) != ReadUInt32LittleEndian(header) || ReadUInt32LittleEndian(header[20..]) != at
                || ReadUInt32LittleEndian(header[56..]) != chain || end > bytes.Length)
                break;
            var payload = bytes.AsSpan(at + HeaderBytes, (int)length);
            var filler = bytes.AsSpan(at + HeaderBytes + (int)length, (int)(end - at) - HeaderBytes - (int)length);
            if (Crc(payload) != ReadUInt32LittleEndian(header[60..]) || !filler.SequenceEqual(Zeros.AsSpan(0, filler.Length)))
                break;
            chain = ReadUInt32LittleEndian(header);
            frames.Add(new DiskFrame(header[12], (uint)at, (uint)end, ReadUInt64LittleEndian(header[32..]), ReadUInt32LittleEndian(header[48..]),
                ReadUInt64LittleEndian(header[40..]), ReadUInt32LittleEndian(header[52..]), payload.ToArray(), ReadUInt16LittleEndian(header[6..])));
            at = (int)end;
        }
        return frames;
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    private static byte[] ReadAll(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        return memory.ToArray();
    }
}
