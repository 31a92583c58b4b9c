using Google.Protobuf;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Wire;

/// <summary>
/// One call on its way:
/// <code>
/// Begin --lost----------------------------------------------> TimedOut, or ConnectionLost soon
///   +---nobody listens--------------------------------------> Unreachable
///   +---delivered (perhaps twice)--Reply--lost--------------> TimedOut, or ConnectionLost soon
///                 |                  +--arrives-------------> Answered (the first one; later ones are dropped)
///                 +--the peer dies--------------------------> ConnectionLost, if the network lets that through
/// </code>
/// </summary>
internal sealed class SimulatedCall
{
    private readonly SimulatedWire _wire;
    private readonly byte[] _header;
    private readonly byte[] _payload;
    private readonly TimeSpan _timeout;
    private readonly long _beganNs;
    private readonly TaskCompletionSource<CallResult> _result = new();   // completed in a step of the caller, with nothing else on its stack
    private readonly List<Delivery> _deliveries = [];
    private ITimer? _timer;
    private CancellationTokenRegistration _registration;

    internal SimulatedCall(SimulatedWire wire, string address, MessageKind kind, byte[] header, byte[] payload, TimeSpan timeout)
    {
        _wire = wire;
        Address = address;
        Kind = kind;
        _header = header;
        _payload = payload;
        _timeout = timeout;
        _beganNs = World.NowNs;
        Id = wire.Network.NextCallId();
    }

    public long Id { get; }
    public MessageKind Kind { get; }
    public string Address { get; }
    public string FromHost => _wire.Host;
    public string ToHost => SimulatedNetwork.HostOf(Address);
    public SimulatedProcess Caller => _wire.Process;

    /// <summary>A fresh copy of the request's header, for scripted scenarios.</summary>
    public IMessage Request
    {
        get
        {
            bool known = MessageCatalog.TryGetRequestParser(Kind, out var parser);
            Invariant.Holds(known);
            return parser!.ParseFrom(_header);
        }
    }

    internal Task<CallResult> Result => _result.Task;

    private SimulatedWorld World => _wire.Process.World;
    private SimulatedNetwork Network => _wire.Network;

    internal void Begin(CancellationToken cancellation)
    {
        if (!Caller.MayAct())
            return;
        World.Mark("call", Id, (long)Kind, Crc32C.Compute(_header), Crc32C.Compute(_payload));
        if (World.IsTracing)
            World.Tell(Caller.Name, $"-> {Address} #{Id} {Kind} {Shorten(Request)}{(_payload.Length > 0 ? $" +{_payload.Length} B" : "")}");
        if (cancellation.IsCancellationRequested)
        {
            AtCaller(0, CallOutcome.Canceled, "Cancelled before it was sent.");
            return;
        }
        _wire.Opened(this);
        _timer = Caller.Time.CreateTimer(static s => ((SimulatedCall)s!).TimeOut(), this, _timeout > TimeSpan.Zero ? _timeout : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        if (cancellation.CanBeCanceled)
            _registration = cancellation.UnsafeRegister(static s => ((SimulatedCall)s!).Cancel(), this);
        Send();
    }

    private void Send()
    {
        if (!Network.Reaches(FromHost, ToHost))
            return;
        if (Network.DropRequest?.Invoke(this) == true || Network.DrawLoss())
        {
            World.Tell("network", $"request #{Id} lost");
            if (Network.DrawBreak())
                AtCaller(Network.DrawLatencyNs(), CallOutcome.ConnectionLost, $"The connection to {Address} broke.");
            return;
        }
        if (Network.ListenerAt(Address) is not { IsOpen: true })
        {
            if (Network.Reaches(ToHost, FromHost))
                AtCaller(2 * Network.DrawLatencyNs(), CallOutcome.Unreachable, $"{Address} refused the connection.");
            return;
        }
        long at = Network.DrawArrivalNs(Caller, Address);
        World.At(at, null, static s => ((SimulatedCall)s!).Arrive(), this);
        if (Network.DrawDuplicate())
            World.At(at + Network.DrawDuplicateDelayNs(), null, static s => ((SimulatedCall)s!).Arrive(), this);
    }

    private void Arrive()
    {
        if (!Network.Reaches(FromHost, ToHost))
            return;
        if (Network.ListenerAt(Address) is not { IsOpen: true } listener)
        {
            if (_deliveries.Count == 0)
                PeerClosed(ToHost);
            return;
        }
        bool known = MessageCatalog.TryGetRequestParser(Kind, out var parser);
        Invariant.Holds(known);
        var left = _timeout - new TimeSpan((World.NowNs - _beganNs) / 100);
        var delivery = new Delivery(this, listener, parser!.ParseFrom(_header), Payload.CopyOf(_payload), left > TimeSpan.Zero ? left : TimeSpan.Zero);
        World.Mark("arrive", Id, listener.Process.Number);
        if (_deliveries.Count > 0)
            World.Tell("network", $"request #{Id} {Kind} arrives once more at {listener.Process.Name}");
        _deliveries.Add(delivery);
        listener.Opened(this);
        listener.Process.Execute(static s =>
        {
            var d = (Delivery)s!;
            d.Listener.Handler.Handle(d);
        }, delivery);
    }

    private void Answer(Delivery delivery, IMessage header, Payload payload)
    {
        byte[] headerBytes = header.ToByteArray();
        byte[] payloadBytes = payload.Span.ToArray();
        payload.Release();
        delivery.Listener.Answered(this);
        var callee = delivery.Listener.Process;
        if (!callee.MayAct() || !delivery.Listener.IsOpen)
            return;
        World.Mark("reply", Id, callee.Number, Crc32C.Compute(headerBytes), Crc32C.Compute(payloadBytes));
        if (World.IsTracing)
            World.Tell(callee.Name, $"<- {Caller.Name} #{Id} {Kind} {Shorten(header)}{(payloadBytes.Length > 0 ? $" +{payloadBytes.Length} B" : "")}");
        Network.Replied?.Invoke(this, header);
        if (_result.Task.IsCompleted || !Network.Reaches(ToHost, FromHost))
            return;
        if (Network.DropReply?.Invoke(this) == true || Network.DrawLoss())
        {
            World.Tell("network", $"reply #{Id} lost");
            if (Network.DrawBreak())
                AtCaller(Network.DrawLatencyNs(), CallOutcome.ConnectionLost, $"The connection to {Address} broke.");
            return;
        }
        long at = Network.DrawArrivalNs(callee, Caller.Name);
        World.At(at, Caller, _ =>
        {
            if (_result.Task.IsCompleted)
                return;
            bool known = MessageCatalog.TryGetReplyParser(Kind, out var parser);
            Invariant.Holds(known);
            End(new CallResult(CallOutcome.Answered, parser!.ParseFrom(headerBytes), Payload.CopyOf(payloadBytes), null));
        }, null);
    }

    /// <summary>The peer's process died or stopped listening with the call in its hands.</summary>
    internal void PeerClosed(string host)
    {
        if (Network.Reaches(host, FromHost))
            AtCaller(Network.DrawLatencyNs(), CallOutcome.ConnectionLost, $"{Address} closed the connection.");
    }

    private void AtCaller(long delayNs, CallOutcome outcome, string detail) =>
        World.At(World.NowNs + delayNs, Caller, _ => End(CallResult.Failed(outcome, detail)), null);

    private void TimeOut()
    {
        End(CallResult.Failed(CallOutcome.TimedOut, $"No answer from {Address} within {_timeout.TotalMilliseconds:0} ms."));
        CallerGone();
    }

    private void Cancel()
    {
        AtCaller(0, CallOutcome.Canceled, "The caller gave up.");
        CallerGone();
    }

    private void End(CallResult result)
    {
        if (_result.Task.IsCompleted)
        {
            result.Payload.Release();
            return;
        }
        _timer?.Dispose();
        _registration.Unregister();
        _wire.Ended(this);
        World.Mark("end", Id, (long)result.Outcome);
        if (World.IsTracing && !result.IsAnswered)
            World.Tell(Caller.Name, $"   #{Id} {Kind} to {Address}: {result.Outcome}");
        _result.SetResult(result);
    }

    /// <summary>Tells the servers that still work on it, if the network lets that through.</summary>
    internal void CallerGone()
    {
        foreach (var delivery in _deliveries)
        {
            if (Network.Reaches(FromHost, ToHost))
                World.At(World.NowNs + Network.DrawLatencyNs(), delivery.Listener.Process, static s => ((Delivery)s!).Abandon(), delivery);
        }
    }

    private static string Shorten(IMessage message)
    {
        string text = message.ToString() ?? "";
        return text.Length <= 400 ? text : text[..400] + "...";
    }

    /// <summary>The call as its server sees it. A request that is delivered twice is two of these.</summary>
    private sealed class Delivery(SimulatedCall call, SimulatedListener listener, IMessage header, Payload payload, TimeSpan timeLeft)
        : IncomingCall(call.Kind, header, payload, timeLeft, call.Caller.Name)
    {
        private CancellationTokenSource? _gone;
        private bool _abandoned;

        public SimulatedListener Listener => listener;

        public override CancellationToken CallerGone
        {
            get
            {
                _gone ??= new CancellationTokenSource();
                if (_abandoned)
                    _gone.Cancel();
                return _gone.Token;
            }
        }

        public void Abandon()
        {
            _abandoned = true;
            _gone?.Cancel();
        }

        protected override void Send(IMessage header, Payload payload) => call.Answer(this, header, payload);
    }
}
