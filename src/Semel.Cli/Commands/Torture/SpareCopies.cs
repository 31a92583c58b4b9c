using Semel.Cli.Clusters;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Storage.Chunks;

namespace Semel.Cli.Commands.Torture;

/// <summary>
/// Which replicas may be hurt: those of which two other servers have every byte that verifies, and belong to the chunk's newest
/// configuration, or know that it is sealed: those that were left out have nothing to say, whatever they have. What is promised rests on
/// one that survives; the other one is for the copy that the master may be throwing away at this very moment, and so that an open chunk
/// does not fall below <c>min_members</c> and wait for the one that was hurt.
/// </summary>
internal sealed class SpareCopies(ProxiedCluster cluster)
{
    private const int OthersLeft = 2;

    /// <summary>The chunks of which the server has a replica, in order.</summary>
    public List<ulong> ChunksOf(int server)
    {
        try
        {
            return [.. Directory.EnumerateFiles(Path.Combine(cluster.DataOf(server), "chunks"), "*.meta", SearchOption.AllDirectories)
                .Select(f => Convert.ToUInt64(Path.GetFileNameWithoutExtension(f), 16)).Order()];
        }
        catch (IOException)
        {
            return [];   // nothing there, or it went away meanwhile
        }
    }

    public bool IsSpare(int server, ulong handle)
    {
        byte[] own = FramesOf(server, handle);
        var found = Enumerable.Range(1, cluster.ChunkServers).Select(s => (Server: s, Metadata: MetadataOf(s, handle))).ToList();
        var newest = found.Max(f => f.Metadata?.LastView ?? default);
        return found.Count(f => f.Server != server && f.Metadata is { } m && (m.Sealed || m.LastView == newest)
            && FramesOf(f.Server, handle).AsSpan().StartsWith(own)) >= OthersLeft;
    }

    public string FileOf(int server, ulong handle, string extension)
    {
        string name = new ChunkHandle(handle).ToString();
        return Path.Combine(cluster.DataOf(server), "chunks", name[^2..], $"{name}.{extension}");
    }

    /// <summary>Null: there is none that can be read.</summary>
    private ChunkMetadata? MetadataOf(int server, ulong handle)
    {
        byte[] meta = Read(FileOf(server, handle, "meta"));
        (ChunkMetadata? newest, ulong highest) = (null, 0);
        for (int slot = 0; slot + ChunkMetadata.SlotSize <= meta.Length; slot += ChunkMetadata.SlotStride)
        {
            if (ChunkMetadata.TryRead(meta.AsSpan(slot, ChunkMetadata.SlotSize), out var metadata, out ulong generation, out _) && generation >= highest)
                (newest, highest) = (metadata, generation);
        }
        return newest;
    }

    /// <summary>The bytes of a replica up to its first frame that does not verify.</summary>
    private byte[] FramesOf(int server, ulong handle)
    {
        byte[] bytes = Read(FileOf(server, handle, "chunk"));
        var frames = new FrameReader(bytes, 0, FrameHeader.ChainSeed(new ChunkHandle(handle)));
        while (frames.Read())
        {
        }
        return bytes[..(int)frames.Offset];
    }

    /// <summary>Empty: it is not there, or went away.</summary>
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
