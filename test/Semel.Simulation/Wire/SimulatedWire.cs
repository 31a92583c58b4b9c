using Google.Protobuf;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Wire;

/// <summary>One process's access to the <see cref="SimulatedNetwork"/>. Nothing is shared between processes: headers are serialized and parsed, payloads copied.</summary>
internal sealed class SimulatedWire : IWire
{
    private readonly Dictionary<string, SimulatedLink> _links = new(StringComparer.Ordinal);
    private readonly List<SimulatedCall> _open = [];

    public SimulatedWire(SimulatedNetwork network, SimulatedProcess process, string host)
    {
        Network = network;
        Process = process;
        Host = host;
        process.OnDeath(() =>
        {
            foreach (var call in _open)
                call.CallerGone();
        });
    }

    internal SimulatedNetwork Network { get; }
    internal SimulatedProcess Process { get; }
    internal string Host { get; }

    internal void Opened(SimulatedCall call) => _open.Add(call);
    internal void Ended(SimulatedCall call) => _open.Remove(call);

    public ILink LinkTo(string address)
    {
        if (!_links.TryGetValue(address, out var link))
            _links.Add(address, link = new SimulatedLink(this, address));
        return link;
    }

    public IListener Listen(string address, ICallHandler handler) => Network.Listen(Process, Host, address, handler);
}

internal sealed class SimulatedLink(SimulatedWire wire, string address) : ILink
{
    public string Address => address;

    public ValueTask<CallResult> CallAsync(MessageKind kind, IMessage header, Payload payload, TimeSpan timeout, CancellationToken cancellation = default)
    {
        Invariant.Holds(MessageCatalog.TryGetRequestParser(kind, out _));
        byte[] headerBytes = header.ToByteArray();
        byte[] payloadBytes = payload.Span.ToArray();
        payload.Release();
        var call = new SimulatedCall(wire, address, kind, headerBytes, payloadBytes, timeout);
        call.Begin(cancellation);
        return new ValueTask<CallResult>(call.Result);
    }
}
