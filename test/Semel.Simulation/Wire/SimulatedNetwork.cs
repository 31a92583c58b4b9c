using System.Globalization;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Wire;

/// <summary>Hosts, who listens where, and what happens to a message on its way.</summary>
internal sealed class SimulatedNetwork
{
    private readonly SortedDictionary<string, SimulatedListener> _listeners = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _darkHosts = new(StringComparer.Ordinal);
    private readonly SortedSet<(string From, string To)> _cuts = [];
    private readonly Dictionary<(SimulatedProcess, string), long> _lastArrival = [];
    private readonly SimulatedRandom _random;
    private int _nextPort = 40_000;
    private long _calls;

    public SimulatedNetwork(SimulatedWorld world)
    {
        World = world;
        _random = world.Random.Fork();
    }

    public SimulatedWorld World { get; }

    /// <summary>May be changed while the run goes on.</summary>
    public NetworkFaults Faults { get; set; } = NetworkFaults.None;

    public long Messages { get; private set; }

    /// <summary>Looks at every request before it leaves; true: it is lost. For scripted scenarios.</summary>
    public Func<SimulatedCall, bool>? DropRequest { get; set; }

    /// <summary>Looks at every reply before it leaves; true: it is lost. For scripted scenarios.</summary>
    public Func<SimulatedCall, bool>? DropReply { get; set; }

    /// <summary>Sees every reply before it leaves, whatever becomes of it.</summary>
    public Action<SimulatedCall, Google.Protobuf.IMessage>? Replied { get; set; }

    /// <summary>Nothing gets from one host to the other; the way back stays open.</summary>
    public void Cut(string from, string to)
    {
        if (_cuts.Add((from, to)))
            World.Tell("network", $"{from} -x-> {to}");
    }

    public void Mend(string from, string to)
    {
        if (_cuts.Remove((from, to)))
            World.Tell("network", $"{from} ---> {to} again");
    }

    public void MendAll() => _cuts.Clear();

    /// <summary>A host without power answers nothing, not even that nobody listens.</summary>
    public void SetPower(string host, bool on)
    {
        if (on)
            _darkHosts.Remove(host);
        else
            _darkHosts.Add(host);
    }

    public bool Reaches(string from, string to) => from == to || (!_cuts.Contains((from, to)) && !_darkHosts.Contains(to) && !_darkHosts.Contains(from));

    internal long NextCallId() => ++_calls;

    internal SimulatedListener Listen(SimulatedProcess process, string host, string address, ICallHandler handler)
    {
        int colon = address.LastIndexOf(':');
        if (colon < 0 || !int.TryParse(address.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port))
            throw new AddressUnavailableException($"'{address}' is not host:port.");
        string bound = $"{host}:{(port == 0 ? _nextPort++ : port).ToString(CultureInfo.InvariantCulture)}";
        if (_listeners.ContainsKey(bound))
            throw new AddressUnavailableException($"Address {bound} is in use.");
        var listener = new SimulatedListener(this, process, host, bound, handler);
        if (process.IsAlive)
            _listeners.Add(bound, listener);
        return listener;
    }

    internal void Remove(SimulatedListener listener)
    {
        if (_listeners.TryGetValue(listener.Address, out var current) && current == listener)
            _listeners.Remove(listener.Address);
    }

    internal SimulatedListener? ListenerAt(string address) => _listeners.GetValueOrDefault(address);

    internal static string HostOf(string address)
    {
        int colon = address.LastIndexOf(':');
        return colon < 0 ? address : address[..colon];
    }

    internal long DrawLatencyNs()
    {
        var faults = Faults;
        var latency = _random.Between(faults.MinLatency, faults.MaxLatency);
        if (_random.Chance(faults.Tail))
            latency += _random.Between(TimeSpan.Zero, faults.TailLatency);
        return latency.Ticks * 100;
    }

    /// <summary>When a message that leaves now arrives.</summary>
    internal long DrawArrivalNs(SimulatedProcess from, string toAddress)
    {
        Messages++;
        long at = World.NowNs + DrawLatencyNs();
        if (!Faults.InOrder)
            return at;
        ref long last = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_lastArrival, (from, toAddress), out _);
        return last = Math.Max(at, last + 1);
    }

    internal bool DrawLoss() => _random.Chance(Faults.Loss);
    internal bool DrawBreak() => _random.Chance(Faults.LossBreaksConnection);
    internal bool DrawDuplicate() => _random.Chance(Faults.Duplication);
    internal long DrawDuplicateDelayNs() => _random.Between(TimeSpan.Zero, Faults.DuplicateDelay).Ticks * 100;
}

/// <summary>An address that a process takes calls on, until it is disposed or the process dies.</summary>
internal sealed class SimulatedListener : IListener
{
    private readonly SimulatedNetwork _network;
    private readonly List<SimulatedCall> _open = [];

    public SimulatedListener(SimulatedNetwork network, SimulatedProcess process, string host, string address, ICallHandler handler)
    {
        _network = network;
        Process = process;
        Host = host;
        Address = address;
        Handler = handler;
        process.OnDeath(Close);
    }

    public SimulatedProcess Process { get; }
    public string Host { get; }
    public string Address { get; }
    public ICallHandler Handler { get; }
    public bool IsOpen { get; private set; } = true;

    internal void Opened(SimulatedCall call) => _open.Add(call);
    internal void Answered(SimulatedCall call) => _open.Remove(call);

    /// <summary>The kernel closes the connections: callers that the network reaches see it.</summary>
    private void Close()
    {
        if (!IsOpen)
            return;
        IsOpen = false;
        _network.Remove(this);
        foreach (var call in _open)
            call.PeerClosed(Host);
        _open.Clear();
    }

    public ValueTask DisposeAsync()
    {
        Close();
        return default;
    }
}
