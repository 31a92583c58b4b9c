using System.Net;
using System.Net.Sockets;
using Semel.Protocol.Wires;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>A bound socket, its accept loop, and the connections that came in through it.</summary>
internal sealed class SocketListener : IListener, IThreadPoolWorkItem
{
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket;
    private readonly SocketWire _wire;
    private readonly ICallHandler _handler;
    private readonly string? _path;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly HashSet<AcceptedConnection> _connections = [];   // guarded by _gate; those that are greeted
    private int _open = 1;                                            // guarded by _gate; connections and the accept loop
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SocketListener(Socket socket, string address, string? path, SocketWire wire, ICallHandler handler)
    {
        _socket = socket;
        _wire = wire;
        _handler = handler;
        _path = path;
        Address = address;
    }

    public string Address { get; }

    public static SocketListener Start(string text, SocketWire wire, ICallHandler handler)
    {
        if (!WireAddress.TryParse(text, out var address, out string? fault))
            throw new AddressUnavailableException(fault);
        Socket? socket = null;
        try
        {
            var endPoint = address.ToListen();
            socket = WireAddress.NewSocket(endPoint);
            if (address.Path is not null)
                RemoveStaleFile(address.Path, endPoint);
            socket.Bind(endPoint);
            socket.Listen(512);
        }
        catch (Exception e) when (e is SocketException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            socket?.Dispose();
            throw new AddressUnavailableException(e is SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse }
                ? $"Cannot listen on {text}: it is taken. Stop the other process or choose another address."
                : $"Cannot listen on {text}: {e.Message}", e);
        }
        int port = (socket.LocalEndPoint as IPEndPoint)?.Port ?? 0;
        var listener = new SocketListener(socket, address.TextWithPort(port), address.Path, wire, handler);
        wire.Logger.Listening(listener.Address);
        ThreadPool.UnsafeQueueUserWorkItem(listener, preferLocal: false);
        return listener;
    }

    public async ValueTask DisposeAsync()
    {
        _wire.Forget(this);
        AcceptedConnection[] connections;
        lock (_gate)
        {
            if (!_closing.IsCancellationRequested)
                _closing.Cancel();
            connections = [.. _connections];
        }
        if (_path is not null)
            File.Delete(_path);
        _socket.Dispose();
        foreach (var connection in connections)
            connection.EndWithGoodbye($"the {_wire.Options.Role} is shutting down");
        await _closed.Task;
    }

    void IThreadPoolWorkItem.Execute() => _ = AcceptAsync();

    private async Task AcceptAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                var socket = await _socket.AcceptAsync(_closing.Token);
                if (TryEnter())
                    _ = ServeAsync(socket);
                else
                    socket.Dispose();
            }
            catch (Exception e) when (_closing.IsCancellationRequested && e is SocketException or ObjectDisposedException or OperationCanceledException)
            {
                break;
            }
            catch (Exception e)
            {
                // Too many open files, most likely: others may close some.
                _wire.Faults.Report(Address, $"a connection could not be accepted: {e.Message}");
                try
                {
                    await Task.Delay(PauseAfterFailure, _wire.Time, _closing.Token);
                }
                catch (OperationCanceledException)
                {
                    break;
                }
            }
        }
        Leave();
    }

    /// <summary>One accepted connection from its greeting to its end. Never throws.</summary>
    private async Task ServeAsync(Socket socket)
    {
        try
        {
            string peer = socket.RemoteEndPoint is IPEndPoint remote ? remote.ToString() : Address;
            var (hello, fault) = await GreetAsync(socket);
            if (hello is null)
            {
                if (!_closing.IsCancellationRequested)
                    _wire.Faults.Report(peer, fault!);
                return;
            }
            var connection = new AcceptedConnection(socket, _wire, $"{peer} ({Printable.Of(hello.Role)})", _handler, Forget);
            lock (_gate)
            {
                _connections.Add(connection);
                if (_closing.IsCancellationRequested)
                    connection.End("the listener was closed");
            }
            _wire.Logger.Accepted(connection.Peer, Address, Printable.Of(hello.Software));
            await connection.RunAsync();
            _wire.Logger.ConnectionEnded(connection.Peer, connection.EndReason!);
        }
        catch (Exception e)
        {
            _wire.Logger.ConnectionFailed(Address, e);
        }
        finally
        {
            socket.Dispose();
            Leave();
        }
    }

    /// <returns>Whom we talk to, or why we do not.</returns>
    private async Task<(Protocol.Messages.Hello? Hello, string? Fault)> GreetAsync(Socket socket)
    {
        using var timeout = new CancellationTokenSource(_wire.Options.HelloTimeout, _wire.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, _closing.Token);
        try
        {
            if (socket.AddressFamily is not AddressFamily.Unix)
                socket.NoDelay = true;
            var (theirs, fault) = await Handshake.ReceiveAsync(socket, WireFrameType.Hello, either.Token);
            if (theirs is null)
                return (null, fault);
            var ours = Handshake.About(_wire.Options);
            ours.Refusal = Handshake.Judge(ours, theirs) ?? "";
            await Handshake.SendAsync(socket, WireFrameType.Welcome, ours, either.Token);
            return ours.Refusal.Length == 0 ? (theirs, null) : (null, $"refused: {ours.Refusal}");
        }
        catch (OperationCanceledException)
        {
            return (null, $"it did not say hello within {_wire.Options.HelloTimeout.TotalSeconds:0.###} s");
        }
        catch (SocketException e)
        {
            return (null, e.Message);
        }
    }

    private bool TryEnter()
    {
        lock (_gate)
        {
            if (_open <= _wire.Options.MaxAcceptedConnections)
            {
                _open++;
                return true;
            }
        }
        _wire.Faults.Report(Address, $"{_wire.Options.MaxAcceptedConnections} connections are open already; one more was closed at once");
        return false;
    }

    private void Leave()
    {
        lock (_gate)
        {
            if (--_open > 0)
                return;
        }
        _closed.TrySetResult();
    }

    private void Forget(AcceptedConnection connection)
    {
        lock (_gate)
            _connections.Remove(connection);
    }

    /// <summary>The file of a process that is gone blocks its path; one that somebody listens on is left alone.</summary>
    private static void RemoveStaleFile(string path, EndPoint endPoint)
    {
        if (!File.Exists(path) || !IsSocket(path))
            return;
        using var probe = WireAddress.NewSocket(endPoint);
        try
        {
            probe.Connect(endPoint);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionRefused)
        {
            File.Delete(path);
        }
        catch (SocketException)
        {
            // Binding says it better.
        }
    }

    /// <summary>Only sockets exist and cannot be opened by anybody.</summary>
    private static bool IsSocket(string path)
    {
        try
        {
            File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite).Dispose();
            return false;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }
}
