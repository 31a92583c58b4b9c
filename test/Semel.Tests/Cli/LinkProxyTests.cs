using System.Net;
using System.Net.Sockets;
using Semel.Cli.Clusters;

namespace Semel.Tests.Cli;

/// <summary>Node 0 is behind the proxy, node 1 calls.</summary>
public sealed class LinkProxyTests : IAsyncDisposable
{
    private readonly Links _links = new(2);
    private readonly Socket _node = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly LinkProxy _proxy;
    private readonly List<Socket> _sockets = [];

    public LinkProxyTests()
    {
        _node.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _node.Listen();
        _proxy = new LinkProxy(0, _links, (_, _) => 1, TimeProvider.System) { Target = _node.LocalEndPoint!.ToString() };
    }

    public async ValueTask DisposeAsync()
    {
        await _proxy.DisposeAsync();
        _node.Dispose();
        _sockets.ForEach(s => s.Dispose());
    }

    [Fact]
    public async Task Bytes_pass_both_ways()
    {
        var (caller, node) = await ConnectAsync();

        await caller.SendAsync("ab"u8.ToArray());
        Assert.Equal('a', await ReceiveAsync(node));
        await node.SendAsync("c"u8.ToArray());
        Assert.Equal('c', await ReceiveAsync(caller));
    }

    [Fact]
    public async Task A_cut_holds_one_direction_until_it_ends()
    {
        var (caller, node) = await ConnectAsync();
        var cut = _links.Of(1, 0).Cut();
        await caller.SendAsync("a"u8.ToArray());
        var arrives = ReceiveAsync(node);

        await node.SendAsync("b"u8.ToArray());
        Assert.Equal('b', await ReceiveAsync(caller));
        Assert.False(arrives.IsCompleted);
        cut.Dispose();

        Assert.Equal('a', await arrives);
    }

    [Fact]
    public async Task A_link_with_two_cuts_is_whole_when_both_have_ended()
    {
        var (caller, node) = await ConnectAsync();
        var one = _links.Of(1, 0).Cut();
        var other = _links.Of(1, 0).Cut();
        await caller.SendAsync("a"u8.ToArray());
        var arrives = ReceiveAsync(node);

        one.Dispose();
        await node.SendAsync("b"u8.ToArray());
        await ReceiveAsync(caller);
        Assert.False(arrives.IsCompleted);
        other.Dispose();

        Assert.Equal('a', await arrives);
    }

    [Fact]
    public async Task A_reset_ends_connections()
    {
        var (caller, node) = await ConnectAsync();

        _proxy.Reset(1);

        Assert.Equal(-1, await ReceiveAsync(caller));
        Assert.Equal(-1, await ReceiveAsync(node));
    }

    [Fact]
    public async Task A_connection_to_a_node_that_is_down_ends()
    {
        _proxy.Target = null;
        var caller = await CallAsync();

        Assert.Equal(-1, await ReceiveAsync(caller));
    }

    [Fact]
    public async Task The_end_of_a_connection_passes()
    {
        var (caller, node) = await ConnectAsync();

        node.Dispose();

        Assert.Equal(-1, await ReceiveAsync(caller));
    }

    [Fact]
    public async Task The_owner_of_a_connection_is_found_among_processes()
    {
        var (caller, _) = await ConnectAsync();
        int port = ((IPEndPoint)caller.LocalEndPoint!).Port;

        Assert.Equal(Environment.ProcessId, SocketOwner.Find(port, _proxy.Port, [1, Environment.ProcessId]));
        Assert.Null(SocketOwner.Find(port, _proxy.Port, []));
        Assert.Null(SocketOwner.Find(1, 1, [Environment.ProcessId]));
    }

    private async Task<(Socket Caller, Socket Node)> ConnectAsync()
    {
        var caller = await CallAsync();
        var node = await _node.AcceptAsync(TestContext.Current.CancellationToken);
        _sockets.Add(node);
        return (caller, node);
    }

    private async Task<Socket> CallAsync()
    {
        var caller = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _sockets.Add(caller);
        await caller.ConnectAsync(IPAddress.Loopback, _proxy.Port, TestContext.Current.CancellationToken);
        return caller;
    }

    /// <summary>The next byte; -1: the connection has ended.</summary>
    private static async Task<int> ReceiveAsync(Socket socket)
    {
        byte[] buffer = new byte[1];
        try
        {
            return await socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken) == 0 ? -1 : buffer[0];
        }
        catch (SocketException)
        {
            return -1;
        }
    }
}
