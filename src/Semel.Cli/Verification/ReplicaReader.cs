using System.Security.Cryptography;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>What reading one replica of a chunk came to.</summary>
/// <param name="Digest">SHA-256 of the frames that verified, lower-case hexadecimal.</param>
/// <param name="Length">Bytes of frames that verified.</param>
/// <param name="Kind">What is wrong; null: all bytes that were asked for are there and verify.</param>
/// <param name="Fault">For people; null with <paramref name="Kind"/>.</param>
internal sealed record ReplicaContent(string Server, string Digest, uint Length, FindingKind? Kind, string? Fault);

/// <summary>Gets a frame that verified. The span is valid during the call.</summary>
internal delegate void FrameHandler(in FrameHeader frame, ReadOnlySpan<byte> payload);

/// <summary>Reads one replica from its server directly, past the client library, and checks every frame.</summary>
internal sealed class ReplicaReader(IWire wire, TimeProvider time)
{
    private const uint MaxReadBytes = 4 << 20;
    private const uint CatchUpMs = 2000;
    private const int CatchUps = 5;
    private const int Attempts = 20;
    private const int AttemptsAtSilentServer = 2;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly HashSet<string> _silent = [];

    /// <summary>Reads the chunk's first bytes, up to a length that every replica must have.</summary>
    /// <param name="replica">Whose replica: another server that has its address now is not asked.</param>
    /// <param name="handle">The chunk.</param>
    /// <param name="length">Bytes to read: a frame boundary. A replica that has heard of fewer is given a few seconds.</param>
    /// <param name="onFrame">Gets each frame in order.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <param name="beyondWatermark">Also what the server does not know to be committed; what is not there is not waited for.</param>
    public async Task<ReplicaContent> ReadAsync(
        ServerAddress replica, ChunkHandle handle, uint length, FrameHandler? onFrame, CancellationToken cancellation, bool beyondWatermark = false)
    {
        string server = replica.Address;
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        uint offset = 0;
        uint chain = FrameHeader.ChainSeed(handle);
        int waits = 0, attempts = 0;
        ReplicaContent End(FindingKind? kind, string? fault) => new(server, Convert.ToHexStringLower(digest.GetCurrentHash()), offset, kind, fault);
        while (offset < length)
        {
            var request = new ReadFramesRequest
            {
                Handle = handle.Value,
                Offset = offset,
                MaxBytes = Math.Min(MaxReadBytes, length - offset),
                WaitMs = beyondWatermark ? 0 : CatchUpMs,
                ServerId = replica.ServerId,
                BeyondWatermark = beyondWatermark,
            };
            var result = await wire.LinkTo(server).CallAsync(MessageKind.ReadFrames, request, default, CallTime, cancellation);
            try
            {
                cancellation.ThrowIfCancellationRequested();
                var busy = result.IsAnswered && result.Answer<ReadFramesReply>() is { Status: ReadStatus.ReadBusy } refusal ? refusal : null;
                if (!result.IsAnswered || busy is not null)
                {
                    if (++attempts >= (_silent.Contains(server) ? AttemptsAtSilentServer : Attempts))
                    {
                        _silent.Add(server);
                        return End(FindingKind.Unread, $"could not be read at offset {offset}: {busy?.Detail ?? result.Detail ?? $"{result.Outcome}"}");
                    }
                    await Task.Delay(Pause, time, cancellation);
                    continue;
                }
                _silent.Remove(server);
                var reply = result.Answer<ReadFramesReply>();
                if (reply.Status != ReadStatus.ReadOk)
                    return End(KindOf(reply.Status), $"at offset {offset}: {Explain(reply)}");
                if (result.Payload.Length == 0)
                {
                    if (++waits == CatchUps || beyondWatermark)
                        return End(FindingKind.Divergent, $"ends at offset {offset}; {length} bytes are committed");
                    continue;
                }
                if (Check(result.Payload.Span, ref offset, ref chain, digest, onFrame) is { } fault)
                    return End(FindingKind.Corrupt, fault);
                if (offset > length)
                    return End(FindingKind.Divergent, $"has a frame that ends at offset {offset}, across the boundary at {length}");
            }
            finally
            {
                result.Payload.Release();
            }
        }
        return End(null, null);
    }

    /// <summary>The first offset at which two replicas have different bytes, both of which verify; null when none was found.</summary>
    public async Task<uint?> FirstDifferenceAsync(string one, string other, ChunkHandle handle, uint length, CancellationToken cancellation)
    {
        uint offset = 0;
        while (offset < length)
        {
            var a = await BlockAsync(one, handle, offset, cancellation);
            var b = await BlockAsync(other, handle, offset, cancellation);
            int same = a.AsSpan().CommonPrefixLength(b);
            if (same == 0 || same < Math.Min(a.Length, b.Length))
                return offset + (uint)same;
            offset += (uint)same;
        }
        return null;
    }

    private async Task<byte[]> BlockAsync(string server, ChunkHandle handle, uint offset, CancellationToken cancellation)
    {
        var request = new ReadFramesRequest { Handle = handle.Value, Offset = offset, MaxBytes = MaxReadBytes };
        var result = await wire.LinkTo(server).CallAsync(MessageKind.ReadFrames, request, default, CallTime, cancellation);
        byte[] bytes = result.Payload.Span.ToArray();
        result.Payload.Release();
        return bytes;
    }

    private static string? Check(ReadOnlySpan<byte> bytes, ref uint offset, ref uint chain, IncrementalHash digest, FrameHandler? onFrame)
    {
        var frames = new FrameReader(bytes, offset, chain);
        while (frames.Read())
        {
            if (frames.Header.Kind is FrameKind.Data && !RecordBatch.IsWellFormed(frames.Payload, frames.Header.RecordCount))
                return $"at offset {frames.Header.Offset}: the frame says {frames.Header.RecordCount} records, its payload is something else";
            digest.AppendData(bytes.Slice((int)(frames.Header.Offset - offset), (int)frames.Header.FrameLength));
            onFrame?.Invoke(frames.Header, frames.Payload);
        }
        offset = frames.Offset;
        chain = frames.Chain;
        return frames.Fault;
    }

    private static FindingKind KindOf(ReadStatus status) => status switch
    {
        ReadStatus.ReadNoChunk => FindingKind.Missing,
        ReadStatus.ReadOtherServer => FindingKind.Unread,
        ReadStatus.ReadNotABoundary or ReadStatus.ReadPastEnd => FindingKind.Divergent,
        _ => FindingKind.Corrupt,
    };

    private static string Explain(ReadFramesReply reply) =>
        reply.Status switch
        {
            ReadStatus.ReadNoChunk => "the replica is not there, although the master counts on it",
            ReadStatus.ReadOtherServer => $"the server that has it is gone, another one has its address: {reply.Detail}",
            _ => $"{reply.Status}: {reply.Detail}",
        };
}
