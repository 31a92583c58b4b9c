using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport.Connections;

namespace Semel.Transport.Calls;

/// <summary>A call that came in through a socket.</summary>
internal sealed class SocketIncomingCall(
    AcceptedConnection connection, ulong id, int bytes, MessageKind kind, IMessage header, Payload payload, TimeSpan timeLeft, string peer)
    : IncomingCall(kind, header, payload, timeLeft, peer), IThreadPoolWorkItem
{
    private CancellationTokenSource? _gone;
    private bool _isGone;

    public ulong Id { get; } = id;

    /// <summary>What it counts against the bound on bytes in progress.</summary>
    public int Bytes { get; } = bytes;

    public override CancellationToken CallerGone
    {
        get
        {
            if (Volatile.Read(ref _isGone))
                return new CancellationToken(canceled: true);
            var gone = Volatile.Read(ref _gone);
            if (gone is null)
            {
                var made = new CancellationTokenSource();
                gone = Interlocked.CompareExchange(ref _gone, made, null) ?? made;
            }
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref _isGone))
                ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
            return gone.Token;
        }
    }

    /// <summary>Tells the handler that nobody waits any more. Its callbacks run elsewhere.</summary>
    public void CallerIsGone()
    {
        Volatile.Write(ref _isGone, true);
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _gone) is not null)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            _gone!.Cancel();
        }
        catch (AggregateException e)
        {
            connection.CallbackFailed(this, e);
        }
    }

    protected override void Send(IMessage header, Payload payload) => connection.Reply(this, header, payload);
}
