using Semel.Client.Cluster;
using Semel.Protocol.Messages;

namespace Semel.Client.Reading;

/// <summary>Asks the master where a file's chunks are.</summary>
internal static class ChunkDirectory
{
    /// <summary>Chunks that one question asks for.</summary>
    public const uint Page = 100;

    /// <summary>Up to <paramref name="limit"/> chunks from an index on. File id 0: whatever file is at the path now.</summary>
    public static async Task<LocateChunksReply> ListAsync(
        ClientParts parts, string path, ulong fileId, ulong first, uint limit, CancellationToken cancellation)
    {
        var request = new LocateChunksRequest { Path = path, FileId = fileId, FirstIndex = first, Limit = limit };
        var answer = await parts.Master.AskAsync<LocateChunksReply>(MessageKind.LocateChunks, request, cancellation);
        return answer.OrThrow(path);
    }

    /// <summary>One chunk; null when the file does not have it.</summary>
    public static async Task<ChunkLocation?> FindAsync(ClientParts parts, SourceFile file, ulong index, CancellationToken cancellation)
    {
        var reply = await ListAsync(parts, file.Path, file.FileId, index, 1, cancellation);
        return reply.Chunks.Count > 0 && reply.Chunks[0].Index == index ? reply.Chunks[0] : null;
    }
}
