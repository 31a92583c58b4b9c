using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;

namespace Semel.Protocol.Wires;

/// <summary>
/// Calls between processes: a request (protobuf header and raw payload) and one reply. Two implementations: sockets
/// (<c>Semel.Transport</c>) and the simulated wire. A wire gives no guarantee but these: a reply belongs to its request, and
/// what arrives is what was sent (checksummed). Requests may be lost, arrive twice, late, or out of order; safety never
/// rests on the wire.
/// </summary>
public interface IWire
{
    /// <summary>
    /// A link to the process that listens on <paramref name="address"/> (<c>host:port</c> or <c>unix:/path</c>). Connects when first used, connects
    /// again with jittered back-off after a failure. Links are cheap to hold; the same address gives the same link.
    /// </summary>
    ILink LinkTo(string address);

    /// <summary>
    /// Takes calls on <paramref name="address"/> until the listener is disposed. The address is bound once, on return.
    /// </summary>
    /// <param name="address"><c>host:port</c> (port 0: any free one, see <see cref="IListener.Address"/>) or <c>unix:/path</c>.</param>
    /// <param name="handler">Gets each call, on any thread, several at once. It must not block.</param>
    /// <exception cref="AddressUnavailableException">The address is taken or not of this host.</exception>
    IListener Listen(string address, ICallHandler handler);
}

/// <summary>An address that calls arrive on. Disposing it ends the connections that came in through it.</summary>
public interface IListener : IAsyncDisposable
{
    /// <summary>The address with the real port.</summary>
    string Address { get; }
}

/// <summary>A self-healing association with one peer. Thread-safe.</summary>
public interface ILink
{
    string Address { get; }

    /// <summary>Sends a request and waits for its reply. Never throws for what the world does: see <see cref="CallResult.Outcome"/>.</summary>
    /// <param name="kind">What is asked; the header's type must be the one that <see cref="MessageCatalog"/> gives for it.</param>
    /// <param name="header">Must not change until the call is over.</param>
    /// <param name="payload">The link takes over one reference, whatever the outcome; the caller must <c>Retain</c> first if it still needs the bytes.</param>
    /// <param name="timeout">
    /// Time for all of it: waiting for a connection, sending, the peer's work, the reply. The peer is told how much is left.
    /// </param>
    /// <param name="cancellation">Gives up waiting: the outcome is then <see cref="CallOutcome.Canceled"/>, and the request may still take effect.</param>
    ValueTask<CallResult> CallAsync(MessageKind kind, IMessage header, Payload payload, TimeSpan timeout, CancellationToken cancellation = default);
}

/// <summary>Whoever answers calls.</summary>
public interface ICallHandler
{
    /// <summary>
    /// Takes a call over. The handler answers it exactly once, now or later, from any thread. Until then the call
    /// counts against its connection's bound on calls and bytes in progress, and the connection reads nothing more at the bound.
    /// </summary>
    void Handle(IncomingCall call);
}

/// <summary>A request that waits for its answer.</summary>
/// <param name="kind">What is asked.</param>
/// <param name="header">The parsed header, of the type that <see cref="MessageCatalog"/> gives.</param>
/// <param name="payload">Valid until the call is answered; <c>Retain</c> it to keep it longer.</param>
/// <param name="timeLeft">How long the caller still waits, as of arrival.</param>
/// <param name="peer">The caller's address, for messages to people.</param>
public abstract class IncomingCall(MessageKind kind, IMessage header, Payload payload, TimeSpan timeLeft, string peer)
{
    private int _answered;

    public MessageKind Kind { get; } = kind;
    public IMessage Header { get; } = header;
    public Payload Payload { get; } = payload;
    public TimeSpan TimeLeft { get; } = timeLeft;
    public string Peer { get; } = peer;

    public bool IsAnswered => Volatile.Read(ref _answered) != 0;

    /// <summary>Cancelled when the caller has gone away or given up. An optimisation for long waits, never a reason to undo anything.</summary>
    public virtual CancellationToken CallerGone => CancellationToken.None;

    /// <summary>Answers the call. The request's payload is released after this.</summary>
    /// <param name="header">The reply's header, of the type that <see cref="MessageCatalog"/> gives. Must not change any more.</param>
    /// <param name="payload">The wire takes over one reference.</param>
    public void Reply(IMessage header, Payload payload = default)
    {
        Invariant.Holds(Interlocked.Exchange(ref _answered, 1) == 0);
        Send(header, payload);
        Payload.Release();
    }

    protected abstract void Send(IMessage header, Payload payload);
}

/// <summary>How a call ended on the wire. What the peer said about the work itself is in the reply's header.</summary>
public enum CallOutcome
{
    /// <summary>The peer answered.</summary>
    Answered = 1,

    /// <summary>No connection could be made: the request was never sent.</summary>
    Unreachable = 2,

    /// <summary>The connection ended before the reply came: the request may or may not have taken effect.</summary>
    ConnectionLost = 3,

    /// <summary>No reply in time: the request may or may not have taken effect, or may still do so.</summary>
    TimedOut = 4,

    /// <summary>The caller's token was cancelled: as <see cref="TimedOut"/>.</summary>
    Canceled = 5,

    /// <summary>The peer refused the connection or does not know the kind of message: another cluster, another version of the protocol. It was not carried out.</summary>
    Refused = 6,
}

/// <summary>The end of a call. The receiver releases <see cref="Payload"/>.</summary>
/// <param name="Outcome">Only <see cref="CallOutcome.Answered"/> comes with a header.</param>
/// <param name="Header">The reply's header.</param>
/// <param name="Payload">The reply's payload; one reference, the receiver's.</param>
/// <param name="Detail">For people: why there is no answer.</param>
public readonly record struct CallResult(CallOutcome Outcome, IMessage? Header, Payload Payload, string? Detail)
{
    public static CallResult Failed(CallOutcome outcome, string detail) => new(outcome, null, default, detail);

    public bool IsAnswered => Outcome == CallOutcome.Answered;

    /// <summary>The header of an answered call.</summary>
    public T Answer<T>() where T : class, IMessage
    {
        var header = Header as T;
        Invariant.Holds(header is not null);
        return header;
    }
}

/// <summary>An address cannot be listened on.</summary>
public sealed class AddressUnavailableException(string message, Exception? inner = null) : IOException(message, inner);
