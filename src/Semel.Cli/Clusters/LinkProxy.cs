using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Semel.Cli.Clusters;

/// <summary>
/// The address under which others know a node. Passes each connection on to the node, as far as the links between the two ends let it.
/// </summary>
internal sealed class LinkProxy : IAsyncDisposable
{
    private const int BlockBytes = 64 * 1024;

    private readonly int _node;
    private readonly Links _links;
    private readonly Func<int, int, int> _callerOf;
    private readonly TimeProvider _time;
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<Connection, bool> _connections = [];   // the value says nothing
    private readonly Task _accepting;

    /// <param name="node">Whom it stands for.</param>
    /// <param name="links">What may pass.</param>
    /// <param name="callerOf">Which node has a connection from this local port to that one.</param>
    /// <param name="time">For delays.</param>
    public LinkProxy(int node, Links links, Func<int, int, int> callerOf, TimeProvider time)
    {
        (_node, _links, _callerOf, _time) = (node, links, callerOf, time);
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(256);
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        _accepting = AcceptAsync();
    }

    public int Port { get; }
    public string Address => $"127.0.0.1:{Port}";

    /// <summary>Where the node really listens; null: it does not, and connections end at once.</summary>
    public string? Target { get; set; }

    /// <summary>Ends the connections that a node has made through this proxy.</summary>
    public void Reset(int from)
    {
        foreach (var connection in _connections.Keys.Where(c => c.From == from))
            connection.Close();
    }

    public async ValueTask DisposeAsync()
    {
        _stopping.Cancel();
        _listener.Dispose();
        await _accepting;
        var open = _connections.Keys.ToList();
        open.ForEach(c => c.Close());
        await Task.WhenAll(open.Select(c => c.Passing));
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                var caller = await _listener.AcceptAsync(_stopping.Token);
                var connection = new Connection(caller, _callerOf(((IPEndPoint)caller.RemoteEndPoint!).Port, Port));
                // Known before anything passes: whoever sees its first byte may end it.
                _connections.TryAdd(connection, true);
                connection.Passing = PassAsync(connection);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException || _stopping.IsCancellationRequested)
            {
                return;
            }
            catch (SocketException)
            {
                // The caller went away before it was accepted.
            }
        }
    }

    private async Task PassAsync(Connection connection)
    {
        try
        {
            if (Target is not { } target)
                return;
            connection.Node.NoDelay = connection.Caller.NoDelay = true;
            await connection.Node.ConnectAsync(IPEndPoint.Parse(target), _stopping.Token);
            var there = PumpAsync(connection.Caller, connection.Node, _links.Of(connection.From, _node));
            var back = PumpAsync(connection.Node, connection.Caller, _links.Of(_node, connection.From));
            await Task.WhenAny(there, back);
            connection.Close();
            await Task.WhenAll(there, back);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // One of the two ends has gone.
        }
        finally
        {
            connection.Close();
            _connections.TryRemove(connection, out _);
        }
    }

    private async Task PumpAsync(Socket from, Socket to, Links.Link link)
    {
        var block = new byte[BlockBytes];
        try
        {
            while (true)
            {
                int count = await from.ReceiveAsync(block, _stopping.Token);
                // The end of a connection does not pass a cut either.
                await link.PassAsync(_time, _stopping.Token);
                if (count == 0)
                    return;
                for (int sent = 0; sent < count;)
                    sent += await to.SendAsync(block.AsMemory(sent, count - sent), _stopping.Token);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // One of the two ends has gone.
        }
    }

    private sealed class Connection(Socket caller, int from)
    {
        public Socket Caller => caller;
        public int From => from;
        public Task Passing { get; set; } = Task.CompletedTask;
        public Socket Node { get; } = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

        public void Close()
        {
            caller.Dispose();
            Node.Dispose();
        }
    }
}
