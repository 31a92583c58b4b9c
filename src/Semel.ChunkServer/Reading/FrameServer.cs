using Semel.ChunkServer.Replicas;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.ChunkServer.Reading;

/// <summary>
/// Serves frames below the watermark, beside the replica's loop: what is committed never changes. Every frame is verified before it
/// leaves; the reader verifies it again.
/// </summary>
internal static class FrameServer
{
    private const int MaxBytes = 4 << 20;
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);

    public static async Task ServeAsync(IncomingCall call, Replica replica, TimeProvider time)
    {
        var request = (ReadFramesRequest)call.Header;
        if (request.WaitMs > 0 && replica.Watch.Bound.Committed <= request.Offset && !replica.Watch.Bound.Sealed)
        {
            var wait = TimeSpan.FromMilliseconds(request.WaitMs);
            await replica.Watch.WaitAsync(request.Offset, wait < LongestWait ? wait : LongestWait, time, call.CallerGone);
        }
        var bound = replica.Watch.Bound;
        var reply = new ReadFramesReply
        {
            Status = ReadStatus.ReadOk,
            Ballot = bound.Ballot.Value,
            Committed = bound.Committed,
            Sealed = bound.Sealed,
            Settled = bound.Sealed || bound.PrimaryUntil > time.GetTimestamp(),
        };
        var frames = Payload.Empty;
        // Frames that may yet be cut off again are for verification; it judges for itself what they prove.
        uint end = request.BeyondWatermark ? Math.Max(bound.Committed, replica.Log.Tail) : bound.Committed;
        if (request.Offset > end)
        {
            reply.Status = ReadStatus.ReadPastEnd;
            reply.Detail = $"Offset {request.Offset} is beyond the {bound.Committed} bytes that are committed in chunk {replica.Handle} as far as this replica knows.";
        }
        else if (request.Offset < end)
        {
            try
            {
                frames = Read(replica, request, bound.Committed, end, reply);
            }
            catch (DamageException e)
            {
                replica.Post(new RotFound(e.Message, e.IsShortage));
                reply.Status = ReadStatus.ReadCorrupt;
                reply.Detail = $"Chunk {replica.Handle}: {e.Message}. Read another replica.";
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // It says nothing against the bytes: the system lacks something at the moment, or the replica is going away.
                reply.Status = ReadStatus.ReadBusy;
                reply.Detail = e is ObjectDisposedException ? $"The replica of chunk {replica.Handle} is going away." : e.Message;
            }
        }
        call.Reply(reply, frames);
    }

    private static Payload Read(Replica replica, ReadFramesRequest request, uint committed, uint end, ReadFramesReply reply)
    {
        int length = (int)Math.Min(end - request.Offset, Math.Clamp(request.MaxBytes, FrameHeader.Size, MaxBytes));
        var buffer = replica.Log.ReadBuffer(request.Offset, length);
        int whole = WholeFrames.Length(buffer.Span[..length], out int next);
        if (whole == 0 && next > 0 && next <= end - request.Offset)
        {
            buffer.Release();
            buffer = replica.Log.ReadBuffer(request.Offset, next);
            whole = next;
        }
        var check = new FrameReader(buffer.Span[..whole], request.Offset, chain: null);
        while (check.Read())
        {
        }
        if (whole > 0 && check.Fault is null)
            return new Payload(buffer, 0, whole);
        int good = (int)(check.Offset - request.Offset);
        if (good > 0)
            return new Payload(buffer, 0, good);    // the reader comes back for the rest and is told then
        buffer.Release();
        bool boundary = IsBoundary(replica, request.Offset);
        if (boundary && request.Offset < committed)
            replica.Post(new RotFound(check.Fault ?? $"at offset {request.Offset}: no readable frame header"));
        reply.Status = boundary ? ReadStatus.ReadCorrupt : ReadStatus.ReadNotABoundary;
        reply.Detail = boundary
            ? $"Chunk {replica.Handle} does not verify {check.Fault ?? $"at offset {request.Offset}: no readable frame header"}. Read another replica."
            : $"No frame of chunk {replica.Handle} begins at offset {request.Offset}. Begin at a position that an append or a read has returned, or at 0.";
        return Payload.Empty;
    }

    /// <summary>Walks the headers from the chunk's start. Only for the rare question whether a reader or the disk is wrong.</summary>
    private static bool IsBoundary(Replica replica, uint offset)
    {
        Span<byte> header = stackalloc byte[FrameHeader.Size];
        uint at = 0;
        while (at < offset)
        {
            replica.Log.Read(at, header);
            if (!FrameHeader.TryRead(header, out var frame, out _) || frame.Offset != at)
                return true;
            at = frame.End;
        }
        return at == offset;
    }
}
