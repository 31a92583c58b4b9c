using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Semel.Protocol.Wires;
using Semel.Transport.Calls;
using Semel.Transport.Connections;
using Semel.Transport.Framing;

namespace Semel.Transport;

/// <summary>
/// The wire of real processes: Semel's own frames over TCP and Unix sockets. One connection per link carries many calls
/// at once; a dialed connection carries our requests and their replies, an accepted one the peer's. Everything runs on the
/// thread pool, never on the caller's <see cref="SynchronizationContext"/>. The bytes are described in <c>docs/internals/wire.md</c>.
/// </summary>
public sealed class SocketWire : IWire, IAsyncDisposable
{
    private static readonly TimeSpan SweepPeriod = TimeSpan.FromMilliseconds(DeadlineWheel.TickMs);

    private readonly Random _random;                // guarded by _randomGate
    private readonly Lock _randomGate = new();
    private readonly long _start;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<string, SocketLink> _links = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<SocketListener, bool> _listeners = [];
    private readonly ConcurrentDictionary<PeerConnection, bool> _connections = [];
    private readonly ITimer _timer;
    private readonly TimeSpan _slowPeriod;
    private readonly Lock _sweepGate = new();
    private readonly Lock _timerGate = new();
    private bool _sweepsOften;                      // written on _timerGate
    private bool _disposed;                         // guarded by _timerGate

    /// <param name="options">Who we are, and the bounds.</param>
    /// <param name="time">Timeouts, keep-alive, back-off.</param>
    /// <param name="random">Jitter of the back-off. Only the wire uses it from now on.</param>
    /// <param name="loggers">Where to tell what happened.</param>
    public SocketWire(SocketWireOptions options, TimeProvider time, Random random, ILoggerFactory loggers)
    {
        options.Check();
        Options = options;
        Time = time;
        _random = random;
        _start = time.GetTimestamp();
        Logger = loggers.CreateLogger<SocketWire>();
        Faults = new FaultLog(Logger, time);
        Limits = new WireLimits(options.MaxHeaderBytes, options.MaxPayloadBytes);
        Stopping = _stopping.Token;
        _slowPeriod = TimeSpan.FromMilliseconds(Math.Clamp(options.PingInterval.TotalMilliseconds / 4, DeadlineWheel.TickMs, 1000));
        _timer = time.CreateTimer(static wire => ((SocketWire)wire!).Sweep(), this, _slowPeriod, _slowPeriod);
    }

    internal SocketWireOptions Options { get; }
    internal TimeProvider Time { get; }
    internal ILogger Logger { get; }
    internal FaultLog Faults { get; }
    internal WireLimits Limits { get; }

    /// <summary>Cancelled when the wire is being disposed.</summary>
    internal CancellationToken Stopping { get; }

    /// <summary>Milliseconds since the wire was made.</summary>
    internal long NowMs => (long)Time.GetElapsedTime(_start).TotalMilliseconds;

    /// <inheritdoc/>
    public ILink LinkTo(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        ObjectDisposedException.ThrowIf(Stopping.IsCancellationRequested, this);
        return _links.GetOrAdd(address, static (address, wire) => new SocketLink(address, wire), this);
    }

    /// <inheritdoc/>
    public IListener Listen(string address, ICallHandler handler)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(handler);
        ObjectDisposedException.ThrowIf(Stopping.IsCancellationRequested, this);
        var listener = SocketListener.Start(address, this, handler);
        _listeners.TryAdd(listener, true);
        return listener;
    }

    /// <summary>Ends all listeners, connections and calls, and waits for their loops.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_timerGate)
        {
            if (_disposed)
                return;
            _disposed = true;
        }
        _stopping.Cancel();
        string reason = $"the {Options.Role} is shutting down";
        foreach (var listener in _listeners.Keys)
            await listener.DisposeAsync();
        foreach (var link in _links.Values)
            await link.StopAsync(reason);
        await _timer.DisposeAsync();
    }

    internal void Forget(SocketListener listener) => _listeners.TryRemove(listener, out _);

    internal void Watch(PeerConnection connection) => _connections.TryAdd(connection, true);

    internal void Unwatch(PeerConnection connection) => _connections.TryRemove(connection, out _);

    /// <summary>How a frame is larger than peers accept; null when it is not.</summary>
    internal string? Exceeds(int headerBytes, int payloadBytes) =>
        headerBytes > Options.MaxHeaderBytes ? $"a header of {headerBytes} bytes; the limit is {Options.MaxHeaderBytes}"
        : payloadBytes > Options.MaxPayloadBytes ? $"a payload of {payloadBytes} bytes; the limit is {Options.MaxPayloadBytes}"
        : null;

    /// <summary>Time before the next attempt to connect, after so many that failed one after the other.</summary>
    internal long BackOffMs(int failures)
    {
        double full = Math.Min(
            Options.FirstBackOff.TotalMilliseconds * Math.Pow(2, Math.Min(failures, 30)),
            Options.LongestBackOff.TotalMilliseconds);
        lock (_randomGate)
            return (long)(full / 2 + full / 2 * _random.NextDouble());
    }

    /// <summary>A call was begun: deadlines matter now.</summary>
    internal void SweepSoon()
    {
        if (Volatile.Read(ref _sweepsOften))
            return;
        lock (_timerGate)
        {
            if (_sweepsOften || _disposed)
                return;
            _sweepsOften = true;
            _timer.Change(SweepPeriod, SweepPeriod);
        }
    }

    private void Sweep()
    {
        if (!_sweepGate.TryEnter())
            return;   // the sweep before is not done
        try
        {
            long now = NowMs;
            foreach (var (connection, _) in _connections)
                connection.KeepAlive(now);
            bool hasCalls = false;
            foreach (var (_, link) in _links)
            {
                link.Sweep(now);
                hasCalls |= link.HasCalls;
            }
            if (!hasCalls)
                SweepSeldom();
        }
        catch (Exception e)
        {
            Logger.SweepFailed(e);
        }
        finally
        {
            _sweepGate.Exit();
        }
    }

    /// <summary>No call is open. One that begins at this moment is found by the second look.</summary>
    private void SweepSeldom()
    {
        lock (_timerGate)
        {
            if (!_sweepsOften || _disposed)
                return;
            _sweepsOften = false;
            _timer.Change(_slowPeriod, _slowPeriod);
        }
        foreach (var (_, link) in _links)
        {
            if (link.HasCalls)
                SweepSoon();
        }
    }
}
