using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport.Calls;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>
/// A connection that a peer made: its requests, our replies. What the peer can make us hold is bounded: when too many calls or
/// bytes are unanswered, or too many replies wait to be sent, nothing more is read, and in the end the peer's own queue is full.
/// </summary>
internal sealed class AcceptedConnection : PeerConnection
{
    private readonly ICallHandler _handler;
    private readonly Action<AcceptedConnection> _ended;
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, SocketIncomingCall> _inProgress = [];   // guarded by _gate
    private long _bytesInProgress;                                             // guarded by _gate
    private TaskCompletionSource? _paused;                                     // guarded by _gate; set while reading waits
    private int _awaitedBytes;                                                 // guarded by _gate; of the call that reading waits with
    private bool _ending;                                                      // guarded by _gate

    public AcceptedConnection(Socket socket, SocketWire wire, string peer, ICallHandler handler, Action<AcceptedConnection> ended)
        : base(socket, wire, peer)
    {
        _handler = handler;
        _ended = ended;
    }

    protected override bool IsPaused
    {
        get
        {
            lock (_gate)
                return _paused is not null;
        }
    }

    public void Reply(SocketIncomingCall call, IMessage header, Payload payload)
    {
        var frame = new OutgoingFrame(
            WireFrameType.Reply, call.Kind, call.Id, 0, header, default, header.CalculateSize(), payload, payload.Crc);
        if (Wire.Exceeds(frame.HeaderLength, payload.Length) is { } excess)
        {
            Wire.Logger.ReplyTooLarge(call.Kind, Peer, excess);
            payload.Release();
            frame = OutgoingFrame.Plain(WireFrameType.Refusal, call.Id, Encoding.UTF8.GetBytes($"the reply has {excess}"));
        }
        Send(frame);
        Forget(call);
    }

    public void CallbackFailed(SocketIncomingCall call, Exception e) => Wire.Logger.HandlerFailed(call.Kind, Peer, e);

    protected override bool MayTake(in WireFramePrefix prefix)
    {
        if (prefix.Type is not WireFrameType.Request)
            return true;
        lock (_gate)
        {
            if (_ending || HasRoomFor(prefix.TotalLength))
                return true;
            _awaitedBytes = prefix.TotalLength;
            _paused = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        OnRoom();   // a batch may have been sent since we looked
        return false;
    }

    protected override Task RoomAsync()
    {
        lock (_gate)
            return _paused?.Task ?? Task.CompletedTask;
    }

    protected override string? OnFrame(in WireFramePrefix prefix, ReadOnlySpan<byte> header, Payload payload)
    {
        switch (prefix.Type)
        {
            case WireFrameType.Request:
                return OnRequest(prefix, header, payload);
            case WireFrameType.Cancel:
                lock (_gate)
                {
                    if (_inProgress.TryGetValue(prefix.CallId, out var call))
                        call.CallerIsGone();
                }
                return null;
            default:
                payload.Release();
                return $"the peer sent a {prefix.Type} frame on a connection for its requests";
        }
    }

    protected override void OnRoom()
    {
        TaskCompletionSource? paused = null;
        lock (_gate)
        {
            if (_paused is not null && (_ending || HasRoomFor(_awaitedBytes)))
                (paused, _paused) = (_paused, null);
        }
        paused?.TrySetResult();
    }

    protected override void OnEnding()
    {
        lock (_gate)
        {
            _ending = true;
            foreach (var call in _inProgress.Values)
                call.CallerIsGone();
        }
        OnRoom();
    }

    protected override void OnEnded() => _ended(this);

    private string? OnRequest(in WireFramePrefix prefix, ReadOnlySpan<byte> header, Payload payload)
    {
        if (MessageParsers.OfRequest(prefix.Kind) is not { } parser)
        {
            Refuse(prefix, payload, $"the {Wire.Options.Role} does not know calls of kind {(ushort)prefix.Kind}; it may be of an older version");
            return null;
        }
        if (!MessageParsers.TryParse(parser, header, out var message, out string? fault))
        {
            Refuse(prefix, payload, $"the {Wire.Options.Role} cannot read the header of a {prefix.Kind} call: {fault}");
            return null;
        }
        var call = new SocketIncomingCall(
            this, prefix.CallId, prefix.TotalLength, prefix.Kind, message, payload, TimeSpan.FromMilliseconds(prefix.TimeLeftMs), Peer);
        bool isNew;
        lock (_gate)
        {
            isNew = _inProgress.TryAdd(call.Id, call);
            if (isNew)
                _bytesInProgress += call.Bytes;
        }
        if (!isNew)
        {
            payload.Release();
            return $"the peer used call id {prefix.CallId} twice";
        }
        try
        {
            _handler.Handle(call);
        }
        catch (Exception e)
        {
            Wire.Logger.HandlerFailed(call.Kind, Peer, e);
            EndWithGoodbye($"a {call.Kind} call failed with an internal error; see the {Wire.Options.Role}'s log");
        }
        return null;
    }

    private void Refuse(in WireFramePrefix prefix, Payload payload, string reason)
    {
        payload.Release();
        Send(OutgoingFrame.Plain(WireFrameType.Refusal, prefix.CallId, Encoding.UTF8.GetBytes(reason)));
    }

    private void Send(in OutgoingFrame frame)
    {
        if (Queue.Enqueue(frame, force: true, out _) is EnqueueResult.Closed)
            frame.Payload.Release();
    }

    private void Forget(SocketIncomingCall call)
    {
        lock (_gate)
        {
            if (_inProgress.Remove(call.Id))
                _bytesInProgress -= call.Bytes;
            if (_paused is null)
                return;
        }
        OnRoom();
    }

    /// <summary>Called on the gate.</summary>
    private bool HasRoomFor(int bytes) =>
        _inProgress.Count < Wire.Options.MaxCallsInProgress
        && (_inProgress.Count == 0 || _bytesInProgress + bytes <= Wire.Options.MaxBytesInProgress)
        && !Queue.IsFull;
}
