using Semel.Cli.Clusters;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Storage.Chunks;

namespace Semel.Cli.Commands.Torture;

/// <summary>
/// Flips bits in replicas of sealed chunks, on the disk, under the running server. Only where two other replicas verify from end to end: what the headline
/// promises rests on one that survives, and the other one is for the copy that the master may be throwing away at this very moment.
/// </summary>
internal sealed class ChunkRot(ProxiedCluster cluster)
{
    private const int GoodOnesLeft = 2;

    /// <summary>Address of the server, and chunk, of each replica that was rotted.</summary>
    public HashSet<(string Server, ulong Handle)> Planted { get; } = [];

    /// <summary>Returns what was done; null: there is no chunk on this server that may be hurt.</summary>
    public string? Strike(int server, int draw)
    {
        var random = new Random(draw);
        foreach (ulong handle in SealedOn(server).OrderBy(_ => random.Next()).Take(20))
        {
            var others = Enumerable.Range(1, cluster.ChunkServers).Where(s => s != server);
            if (!Verifies(server, handle) || others.Count(s => Verifies(s, handle)) < GoodOnesLeft)
                continue;
            Planted.Add((cluster.AddressOf(server), handle));
            int bits = random.Next(1, 4);
            for (int i = 0; i < bits; i++)
                Flip(FileOf(server, handle, "chunk"), random);
            return $"{bits} bits of chunk {new ChunkHandle(handle)} on {cluster.NameOf(server)}";
        }
        return null;
    }

    private List<ulong> SealedOn(int server)
    {
        string chunks = Path.Combine(cluster.DataOf(server), "chunks");
        try
        {
            return [.. Directory.EnumerateFiles(chunks, "*.meta", SearchOption.AllDirectories)
                .Select(f => Convert.ToUInt64(Path.GetFileNameWithoutExtension(f), 16))
                .Order()
                .Where(h => IsSealed(server, h))];
        }
        catch (IOException)
        {
            return [];   // a directory went away meanwhile
        }
    }

    private bool IsSealed(int server, ulong handle)
    {
        byte[] meta = Read(FileOf(server, handle, "meta"));
        for (int slot = 0; slot + ChunkMetadata.SlotSize <= meta.Length; slot += ChunkMetadata.SlotStride)
        {
            if (ChunkMetadata.TryRead(meta.AsSpan(slot, ChunkMetadata.SlotSize), out var metadata, out _, out _) && metadata.Sealed)
                return true;
        }
        return false;
    }

    private bool Verifies(int server, ulong handle)
    {
        if (!IsSealed(server, handle))
            return false;
        byte[] chunk = Read(FileOf(server, handle, "chunk"));
        var frames = new FrameReader(chunk, 0, FrameHeader.ChainSeed(new ChunkHandle(handle)));
        while (frames.Read())
        {
        }
        return frames.Fault is null && frames.Header.Kind is FrameKind.Seal;
    }

    private string FileOf(int server, ulong handle, string extension)
    {
        string name = new ChunkHandle(handle).ToString();
        return Path.Combine(cluster.DataOf(server), "chunks", name[^2..], $"{name}.{extension}");
    }

    private static void Flip(string file, Random random)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
            long at = random.NextInt64(stream.Length);
            stream.Position = at;
            int old = stream.ReadByte();
            stream.Position = at;
            stream.WriteByte((byte)(old ^ (1 << random.Next(8))));
        }
        catch (FileNotFoundException)
        {
            // The master had it deleted just now.
        }
    }

    private static byte[] Read(string file)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            var bytes = new byte[stream.Length];
            return bytes[..stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)];
        }
        catch (IOException)
        {
            return [];
        }
    }
}
