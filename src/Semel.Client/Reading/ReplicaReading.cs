using System.Runtime.CompilerServices;
using Semel.Client.Cluster;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Reading;

/// <summary>One committed frame of one replica.</summary>
/// <param name="Header">Verified.</param>
/// <param name="Payload">Verified; a copy.</param>
internal sealed record ReplicaFrame(FrameHeader Header, ReadOnlyMemory<byte> Payload);

/// <summary>One replica does not serve what was asked of it; no other one was tried.</summary>
internal sealed class ReplicaFaultException(string server, ulong handle, string fault, bool isCorrupt)
    : IOException($"Replica {server} of chunk {new ChunkHandle(handle)}: {fault}")
{
    public bool IsCorrupt { get; } = isCorrupt;
}

/// <summary>Reads particular replicas, for verification: what one server has, not what the file is.</summary>
internal sealed class ReplicaReading(ClientParts parts)
{
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(10);

    /// <summary>All chunks of a file, where they are.</summary>
    public async IAsyncEnumerable<ChunkLocation> ChunksAsync(string path, [EnumeratorCancellation] CancellationToken cancellation)
    {
        ulong fileId = 0;
        for (ulong index = 0; ;)
        {
            var page = await ChunkDirectory.ListAsync(parts, path, fileId, index, ChunkDirectory.Page, cancellation);
            fileId = page.FileId;
            foreach (var chunk in page.Chunks)
                yield return chunk;
            index += (ulong)page.Chunks.Count;
            if (page.Chunks.Count == 0 || index >= page.ChunkCount)
                yield break;
        }
    }

    /// <summary>Every committed frame that the replica has, in order, verified.</summary>
    /// <exception cref="ReplicaFaultException">The replica does not serve, or its bytes do not verify.</exception>
    public async IAsyncEnumerable<ReplicaFrame> FramesAsync(
        ChunkLocation chunk, ServerAddress server, [EnumeratorCancellation] CancellationToken cancellation)
    {
        uint offset = 0;
        uint chain = FrameHeader.ChainSeed(new ChunkHandle(chunk.Handle));
        var frames = new List<ReplicaFrame>();
        while (true)
        {
            var request = new ReadFramesRequest { Handle = chunk.Handle, Offset = offset, MaxBytes = (uint)parts.Options.ReadBlockBytes };
            var result = await parts.Wire.LinkTo(server.Address).CallAsync(MessageKind.ReadFrames, request, default, AnswerTimeout, cancellation);
            cancellation.ThrowIfCancellationRequested();
            frames.Clear();
            try
            {
                if (!result.IsAnswered)
                    throw new ReplicaFaultException(server.Address, chunk.Handle, result.Detail ?? result.Outcome.ToString(), isCorrupt: false);
                var reply = result.Answer<ReadFramesReply>();
                if (reply.Status != ReadStatus.ReadOk)
                    throw new ReplicaFaultException(server.Address, chunk.Handle, $"{reply.Status} {reply.Detail}".TrimEnd(), reply.Status == ReadStatus.ReadCorrupt);
                if (Take(result.Payload.Span, frames, ref offset, ref chain) is { } fault)
                    throw new ReplicaFaultException(server.Address, chunk.Handle, fault, isCorrupt: true);
            }
            finally
            {
                result.Payload.Release();
            }
            if (frames.Count == 0)
                yield break;
            foreach (var frame in frames)
                yield return frame;
        }
    }

    /// <summary>A replica's counters; null when it does not answer.</summary>
    public async Task<InspectChunkReply?> InspectAsync(ChunkLocation chunk, ServerAddress server, CancellationToken cancellation)
    {
        var request = new InspectChunkRequest { Handle = chunk.Handle };
        var result = await parts.Wire.LinkTo(server.Address).CallAsync(MessageKind.InspectChunk, request, default, AnswerTimeout, cancellation);
        result.Payload.Release();
        cancellation.ThrowIfCancellationRequested();
        return result.IsAnswered ? result.Answer<InspectChunkReply>() : null;
    }

    private static string? Take(ReadOnlySpan<byte> bytes, List<ReplicaFrame> frames, ref uint offset, ref uint chain)
    {
        var reader = new FrameReader(bytes, offset, chain);
        while (reader.Read())
            frames.Add(new ReplicaFrame(reader.Header, reader.Payload.ToArray()));
        offset = reader.Offset;
        chain = reader.Chain;
        return reader.Fault;
    }
}
