using System.Net.Sockets;
using Semel.Protocol.Buffers;
using Semel.Protocol.Wires;
using Semel.Transport.Calls;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>A connection that a link made: our requests, the peer's replies. It always reads: what comes was asked for by calls.</summary>
internal sealed class DialedConnection(Socket socket, SocketWire wire, string peer, SocketLink link) : PeerConnection(socket, wire, peer)
{
    public EnqueueResult Submit(PendingCall call, uint timeLeftMs)
    {
        var frame = OutgoingFrame.Message(WireFrameType.Request, call.Kind, call.Id, timeLeftMs, call.Header, call.Payload, call.PayloadCrc);
        var result = Queue.Enqueue(frame, force: false, out long batch);
        call.Batch = batch;
        return result;
    }

    public void Cancel(ulong callId) => Queue.Enqueue(OutgoingFrame.Plain(WireFrameType.Cancel, callId), force: true, out _);

    /// <summary>Whether any byte of the call's request can have left.</summary>
    public bool WasSent(PendingCall call) => call.Batch < Queue.FirstUnsentBatch;

    protected override string? OnFrame(in WireFramePrefix prefix, ReadOnlySpan<byte> header, Payload payload)
    {
        switch (prefix.Type)
        {
            case WireFrameType.Reply:
                return OnReply(prefix, header, payload);
            case WireFrameType.Refusal:
                link.Refuse(prefix.CallId, TextOf(header));
                return null;
            default:
                payload.Release();
                return $"the peer sent a {prefix.Type} frame on a connection for its replies";
        }
    }

    protected override void OnRoom() => link.OnRoom(this);

    protected override void OnEnding() { }

    protected override void OnEnded() { }

    private string? OnReply(in WireFramePrefix prefix, ReadOnlySpan<byte> header, Payload payload)
    {
        if (MessageParsers.OfReply(prefix.Kind) is not { } parser)
        {
            payload.Release();
            return $"the peer answered with the unknown kind {(ushort)prefix.Kind}";
        }
        if (!MessageParsers.TryParse(parser, header, out var message, out string? fault))
        {
            payload.Release();
            return $"the header of a {prefix.Kind} reply cannot be read: {fault}";
        }
        return link.Answer(prefix.CallId, prefix.Kind, new CallResult(CallOutcome.Answered, message, payload, null));
    }
}
