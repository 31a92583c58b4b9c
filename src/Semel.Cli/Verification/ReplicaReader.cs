using System.Security.Cryptography;
using Semel.Cli.Terminal;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>What one replica of a chunk holds below its watermark.</summary>
/// <param name="Digest">SHA-256 of all frame bytes.</param>
/// <param name="Records">How many records.</param>
/// <param name="Length">The watermark: bytes of frames.</param>
/// <param name="Fault">What did not verify; null: everything did.</param>
internal sealed record ReplicaContent(string Server, string Digest, long Records, uint Length, string? Fault);

/// <summary>Reads one replica from its server directly, past the client library, and checks every frame.</summary>
internal static class ReplicaReader
{
    private const uint MaxReadBytes = 4 << 20;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private const uint CatchUpMs = 2000;

    /// <summary>A record of a replica: where, by whom, what. The span is valid during the call.</summary>
    public delegate void OnRecord(in FrameHeader frame, int index, ReadOnlySpan<byte> record);

    /// <param name="wire">As a client.</param>
    /// <param name="server">The replica's address.</param>
    /// <param name="handle">The chunk.</param>
    /// <param name="atLeast">Waits a moment for the watermark to reach this.</param>
    /// <param name="onRecord">Gets each record in order.</param>
    /// <param name="cancellation">Gives up.</param>
    public static async Task<ReplicaContent> ReadAsync(
        IWire wire, string server, ChunkHandle handle, uint atLeast, OnRecord? onRecord, CancellationToken cancellation)
    {
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        uint offset = 0;
        uint chain = FrameHeader.ChainSeed(handle);
        long records = 0;
        int waits = 0;
        ReplicaContent Fault(string fault) => new(server, Convert.ToHexStringLower(digest.GetCurrentHash()), records, offset, fault);
        while (true)
        {
            var request = new ReadFramesRequest { Handle = handle.Value, Offset = offset, MaxBytes = MaxReadBytes, WaitMs = offset < atLeast ? CatchUpMs : 0 };
            var result = await wire.LinkTo(server).CallAsync(MessageKind.ReadFrames, request, default, CallTime, cancellation);
            cancellation.ThrowIfCancellationRequested();
            if (!result.IsAnswered)
                throw new CommandException(ExitCode.Temporary, $"The chunk server {server} does not answer: {result.Detail}");
            try
            {
                var reply = result.Answer<ReadFramesReply>();
                if (reply.Status == ReadStatus.ReadBusy && ++waits < 50)
                    continue;
                if (reply.Status != ReadStatus.ReadOk)
                    return Fault($"the server answers {reply.Status} at offset {offset}: {reply.Detail}");
                if (result.Payload.Length == 0)
                {
                    if (offset >= atLeast || ++waits > 5)
                        return new ReplicaContent(server, Convert.ToHexStringLower(digest.GetHashAndReset()), records, offset, null);
                    continue;
                }
                digest.AppendData(result.Payload.Span);
                string? fault = Check(result.Payload.Span, ref offset, ref chain, ref records, onRecord);
                if (fault is not null)
                    return Fault(fault);
            }
            finally
            {
                result.Payload.Release();
            }
        }
    }

    private static string? Check(ReadOnlySpan<byte> bytes, ref uint offset, ref uint chain, ref long records, OnRecord? onRecord)
    {
        var frames = new FrameReader(bytes, offset, chain);
        while (frames.Read())
        {
            if (frames.Header.Kind is not FrameKind.Data)
                continue;
            var rest = frames.Payload;
            int index = 0;
            while (RecordBatch.TryTake(ref rest, out var record))
            {
                onRecord?.Invoke(frames.Header, index, record);
                index++;
            }
            if (index != frames.Header.RecordCount || !rest.IsEmpty)
                return $"at offset {frames.Header.Offset}: the frame says {frames.Header.RecordCount} records, {index} are there";
            records += index;
        }
        offset = frames.Offset;
        chain = frames.Chain;
        return frames.Fault;
    }
}
