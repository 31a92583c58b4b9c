using Semel.Cli.Clusters;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;

namespace Semel.Cli.Commands.Torture;

/// <summary>
/// Which replicas may be hurt: those of which two other servers have every byte that verifies. What is promised rests on one that survives, and the other one is for
/// the copy that the master may be throwing away at this very moment.
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
        return Enumerable.Range(1, cluster.ChunkServers).Count(s => s != server && FramesOf(s, handle).AsSpan().StartsWith(own)) >= OthersLeft;
    }

    public string FileOf(int server, ulong handle, string extension)
    {
        string name = new ChunkHandle(handle).ToString();
        return Path.Combine(cluster.DataOf(server), "chunks", name[^2..], $"{name}.{extension}");
    }

    /// <summary>The bytes of a replica up to its first frame that does not verify.</summary>
    private byte[] FramesOf(int server, ulong handle)
    {
        try
        {
            using var stream = new FileStream(FileOf(server, handle, "chunk"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            var bytes = new byte[stream.Length];
            int length = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            var frames = new FrameReader(bytes.AsSpan(0, length), 0, FrameHeader.ChainSeed(new ChunkHandle(handle)));
            while (frames.Read())
            {
            }
            return bytes[..(int)frames.Offset];
        }
        catch (IOException)
        {
            return [];
        }
    }
}
