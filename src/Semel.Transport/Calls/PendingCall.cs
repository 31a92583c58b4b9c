using System.Threading.Tasks.Sources;
using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport.Connections;

namespace Semel.Transport.Calls;

/// <summary>
/// A call that waits for its end. Its link's gate guards everything in it; who takes it out of the link's table ends it, once.
/// <code>
/// Waiting --a connection has room--> Submitted   its bytes are in a connection's queue or beyond
///    |                                   |
///    +---------------> Ended &lt;-----------+      answer, time, cancellation, end of the connection
/// </code>
/// </summary>
internal sealed class PendingCall(SocketLink link, MessageKind kind, IMessage header, Payload payload) : IValueTaskSource<CallResult>
{
    private ManualResetValueTaskSourceCore<CallResult> _core = new() { RunContinuationsAsynchronously = true };

    public MessageKind Kind { get; } = kind;
    public IMessage Header { get; } = header;

    /// <summary>The request's payload; one reference, until a connection's queue has taken it.</summary>
    public Payload Payload { get; set; } = payload;

    public uint PayloadCrc { get; init; }

    /// <summary>Unique on its link; 0 until it is in the link's table.</summary>
    public ulong Id { get; set; }

    public long DeadlineMs { get; set; }

    /// <summary>The connection that took it; null while it waits.</summary>
    public DialedConnection? Connection { get; set; }

    /// <summary>The batch of that connection that it is in.</summary>
    public long Batch { get; set; }

    /// <summary>Its place among those that wait; null otherwise.</summary>
    public LinkedListNode<PendingCall>? Place { get; set; }

    /// <summary>Neighbours in a slot of the <see cref="DeadlineWheel"/>.</summary>
    public PendingCall? Earlier { get; set; }
    public PendingCall? Later { get; set; }

    public CancellationTokenRegistration Registration { get; set; }

    public ValueTask<CallResult> Task => new(this, _core.Version);

    public void Cancel() => link.CancelCall(this);

    /// <summary>Wakes the caller, on no lock.</summary>
    public void End(in CallResult result)
    {
        Registration.Unregister();
        _core.SetResult(result);
    }

    CallResult IValueTaskSource<CallResult>.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<CallResult>.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<CallResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
