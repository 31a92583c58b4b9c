using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using Semel.Protocol.Buffers;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>
/// A connection after its handshake: one loop that reads and cuts frames, one queue that sends. It ends once, with one reason,
/// and with it everything that was under way on it. It never opens again: links make new ones.
/// </summary>
internal abstract class PeerConnection
{
    private readonly Socket _socket;
    private readonly ReceiveBuffer _received;
    private readonly SocketWire _wire;
    private string? _endReason;
    private long _lastReceivedMs;
    private long _lastSentMs;

    protected PeerConnection(Socket socket, SocketWire wire, string peer)
    {
        _socket = socket;
        _wire = wire;
        _received = new ReceiveBuffer(wire.Limits);
        Peer = peer;
        Queue = new SendQueue(socket, wire.Options.SendQueueBytes, OnSent, e => End(Describe(e)));
        _lastReceivedMs = _lastSentMs = wire.NowMs;
    }

    /// <summary>The other end, for people.</summary>
    public string Peer { get; }

    /// <summary>Why it ended; null while it has not.</summary>
    public string? EndReason => Volatile.Read(ref _endReason);

    protected SendQueue Queue { get; }

    protected SocketWire Wire => _wire;

    /// <summary>Reads until the connection ends, and cleans up. Must be started without a <see cref="SynchronizationContext"/>.</summary>
    public async Task RunAsync()
    {
        _wire.Watch(this);
        try
        {
            await ReadAsync();
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            End(Describe(e));
        }
        catch (Exception e)
        {
            _wire.Logger.ConnectionFailed(Peer, e);
            End("of an internal error");
        }
        _wire.Unwatch(this);
        await Queue.CloseAsync();
        _received.Release();
        OnEnded();
    }

    /// <summary>Ends the connection. The first reason stays.</summary>
    public void End(string reason)
    {
        if (Interlocked.CompareExchange(ref _endReason, reason, null) is not null)
            return;
        _socket.Dispose();
        OnEnding();
    }

    /// <summary>As <see cref="End"/>, and tells the peer when that needs no waiting.</summary>
    public void EndWithGoodbye(string reason)
    {
        if (EndReason is null)
            Queue.SendLast(OutgoingFrame.Plain(WireFrameType.Goodbye, text: Encoding.UTF8.GetBytes(reason)));
        End(reason);
    }

    /// <summary>Called now and then: pings a peer that heard nothing for long, gives up one that said nothing for long.</summary>
    public void KeepAlive(long nowMs)
    {
        if (nowMs - Volatile.Read(ref _lastSentMs) >= _wire.Options.PingInterval.TotalMilliseconds && !Queue.IsFull)
        {
            Volatile.Write(ref _lastSentMs, nowMs);
            Queue.Enqueue(OutgoingFrame.Plain(WireFrameType.Ping), force: true, out _);
        }
        if (IsPaused)
            Volatile.Write(ref _lastReceivedMs, nowMs);   // we do not listen, so its silence means nothing
        else if (nowMs - Volatile.Read(ref _lastReceivedMs) >= _wire.Options.DeadAfter.TotalMilliseconds)
            End($"it was silent for {_wire.Options.DeadAfter.TotalSeconds:0.###} s");
    }

    /// <summary>Reading waits for calls to be answered.</summary>
    protected virtual bool IsPaused => false;

    /// <summary>Whether the frame may be taken now. When not, <see cref="RoomAsync"/> says when to ask again.</summary>
    protected virtual bool MayTake(in WireFramePrefix prefix) => true;

    protected virtual Task RoomAsync() => Task.CompletedTask;

    /// <summary>A frame has come, whole and with the right checksums.</summary>
    /// <returns>Null, or why the peer cannot be talked to any more.</returns>
    protected abstract string? OnFrame(in WireFramePrefix prefix, ReadOnlySpan<byte> header, Payload payload);

    /// <summary>A batch was sent.</summary>
    protected abstract void OnRoom();

    /// <summary>The socket was closed; loops may still be running.</summary>
    protected abstract void OnEnding();

    /// <summary>Everything has stopped.</summary>
    protected abstract void OnEnded();

    private void OnSent()
    {
        Volatile.Write(ref _lastSentMs, _wire.NowMs);
        OnRoom();
    }

    private async Task ReadAsync()
    {
        while (true)
        {
            var cut = CutFrames();
            if (cut is CutResult.Stop)
                return;
            if (cut is CutResult.Paused)
            {
                await RoomAsync();
                continue;
            }
            int bytes = await _socket.ReceiveAsync(_received.Room(), SocketFlags.None);
            if (bytes == 0)
            {
                End(_received.IsEmpty ? "the peer closed it" : "the peer closed it in the middle of a frame");
                return;
            }
            _received.Received(bytes);
            Volatile.Write(ref _lastReceivedMs, _wire.NowMs);
        }
    }

    private enum CutResult
    {
        NeedMore,
        Paused,
        Stop,
    }

    private CutResult CutFrames()
    {
        string? fault;
        WireFramePrefix prefix;
        while (_received.HasFrame(out prefix, out fault))
        {
            if (EndReason is not null)
                return CutResult.Stop;
            if (!MayTake(prefix))
                return CutResult.Paused;
            if (!_received.TryCut(out var header, out var payload, out fault))
                break;
            fault = prefix.Type switch
            {
                WireFrameType.Ping => null,
                WireFrameType.Goodbye => Goodbye(header),
                _ => OnFrame(prefix, header, payload),
            };
            if (fault is not null)
                break;
        }
        if (fault is null)
            return EndReason is null ? CutResult.NeedMore : CutResult.Stop;
        _wire.Faults.Report(Peer, fault);
        EndWithGoodbye(fault);
        return CutResult.Stop;
    }

    private string? Goodbye(ReadOnlySpan<byte> reason)
    {
        End($"the peer closed it: {TextOf(reason)}");
        return null;
    }

    /// <summary>A text from outside, made fit for a log line.</summary>
    protected static string TextOf(ReadOnlySpan<byte> utf8) =>
        Printable.Of(Encoding.UTF8.GetString(utf8[..Math.Min(utf8.Length, Printable.LongestText)]));

    private static string Describe(Exception e) => e switch
    {
        SocketException { SocketErrorCode: SocketError.OperationAborted } or ObjectDisposedException => "it was closed here",
        _ => e.Message,
    };
}
