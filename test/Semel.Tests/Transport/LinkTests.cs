using System.Net.Sockets;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Tests.Transport;

/// <summary>How links come to connections, lose them, and get new ones.</summary>
public sealed class LinkTests
{
    [Fact]
    public async Task The_same_address_gives_the_same_link()
    {
        await using var wire = Wires.New();

        Assert.Same(wire.LinkTo("127.0.0.1:1"), wire.LinkTo("127.0.0.1:1"));
    }

    [Fact]
    public async Task A_call_to_a_port_that_nobody_listens_on_fails_at_once()
    {
        await using var wire = Wires.New();

        var result = await wire.LinkTo(await UnusedAddressAsync(wire)).StatAsync();

        Assert.Equal(CallOutcome.Unreachable, result.Outcome);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("127.0.0.1:70000")]
    [InlineData("127.0.0.1:-1")]
    [InlineData("unix:")]
    [InlineData("::1:7070")]
    public async Task A_call_to_what_is_no_address_says_so(string address)
    {
        await using var wire = Wires.New();

        var result = await wire.LinkTo(address).StatAsync();

        Assert.Equal(CallOutcome.Unreachable, result.Outcome);
        Assert.Contains(address, result.Detail, StringComparison.Ordinal);
        Assert.Contains("host:port", result.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_whose_connection_ends_has_lost_it()
    {
        await using var wire = Wires.New();
        await using var server = Wires.New();
        var handler = new HoldingHandler();
        var listener = server.Listen("127.0.0.1:0", handler);
        var pending = wire.LinkTo(listener.Address).StatAsync();
        await handler.NextAsync();

        await listener.DisposeAsync();
        var result = await pending;

        Assert.Equal(CallOutcome.ConnectionLost, result.Outcome);
    }

    [Fact]
    public async Task A_link_finds_a_listener_that_was_started_again_on_the_same_port()
    {
        await using var wire = Wires.New();
        await using var server = Wires.New();
        var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        string address = listener.Address;
        var link = wire.LinkTo(address);

        for (int i = 0; i < 5; i++)
        {
            var before = await link.StatAsync();
            await listener.DisposeAsync();
            var between = await link.StatAsync();
            listener = server.Listen(address, Wires.Echo);
            CallResult after;
            do
                after = await link.StatAsync("/again");
            while (after.Outcome is CallOutcome.Unreachable);

            Assert.True(before.IsAnswered);
            Assert.True(between.Outcome is CallOutcome.Unreachable or CallOutcome.ConnectionLost);
            Assert.Equal("/again", after.Answer<StatReply>().Detail);
        }
        await listener.DisposeAsync();
    }

    [Fact]
    public async Task Every_call_ends_once_however_often_connections_end()
    {
        var client = Wires.New();
        var server = Wires.New();
        var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        string address = listener.Address;
        var link = client.LinkTo(address);
        using var stop = new CancellationTokenSource();
        var payloads = new[] { 0, 10, 20_000, 300_000 }.Select(n => Payload.CopyOf(new byte[n])).ToArray();
        var callers = Enumerable.Range(0, 32).Select(CallAsync).ToArray();

        for (int restart = 0; restart < 40; restart++)
        {
            await Task.WhenAny(link.StatAsync().AsTask(), link.StatAsync().AsTask());
            await listener.DisposeAsync();
            listener = server.Listen(address, Wires.Echo);
        }
        stop.Cancel();
        var outcomes = (await Task.WhenAll(callers).WaitAsync(Wires.Long)).SelectMany(o => o).ToHashSet();
        await client.DisposeAsync();
        await server.DisposeAsync();

        Assert.Contains(CallOutcome.Answered, outcomes);
        Assert.DoesNotContain(CallOutcome.Refused, outcomes);
        Assert.All(payloads.Where(p => p.Buffer is not null), p => Assert.Equal(1, Wires.References(p.Buffer!)));

        async Task<HashSet<CallOutcome>> CallAsync(int seed)
        {
            var random = new Random(seed);
            var outcomes = new HashSet<CallOutcome>();
            while (!stop.IsCancellationRequested)
            {
                using var cancel = new CancellationTokenSource();
                if (random.Next(10) == 0)
                    cancel.CancelAfter(random.Next(3));
                var timeout = TimeSpan.FromMilliseconds(random.Next(10) == 0 ? random.Next(20) : 30_000);
                var result = await link.StatAsync("/a", payloads[random.Next(payloads.Length)].Retain(), timeout, cancel.Token);
                result.Payload.Release();
                outcomes.Add(result.Outcome);
            }
            return outcomes;
        }
    }

    [Fact]
    public async Task A_taken_address_is_named()
    {
        await using var wire = Wires.New();
        await using var listener = wire.Listen("127.0.0.1:0", Wires.Echo);

        var e = Assert.Throws<AddressUnavailableException>(() => wire.Listen(listener.Address, Wires.Echo));

        Assert.Contains(listener.Address, e.Message, StringComparison.Ordinal);
        Assert.Contains("taken", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("203.0.113.1:0")]
    [InlineData("here")]
    [InlineData("unix:/no/such/directory/socket")]
    public async Task An_address_that_is_not_of_this_host_is_named(string address)
    {
        await using var wire = Wires.New();

        var e = Assert.Throws<AddressUnavailableException>(() => wire.Listen(address, Wires.Echo));

        Assert.Contains(address, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_socket_of_a_process_that_is_gone_is_replaced_and_no_other_file()
    {
        await using var wire = Wires.New();
        string path = Path.Combine(Path.GetTempPath(), $"semel-{Environment.ProcessId}-{nameof(LinkTests)}.sock");
        using (var gone = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            gone.Bind(new UnixDomainSocketEndPoint(path));   // closing it leaves the file

        await using (var listener = wire.Listen("unix:" + path, Wires.Echo))
        {
            Assert.True((await wire.LinkTo(listener.Address).StatAsync()).IsAnswered);
            Assert.Throws<AddressUnavailableException>(() => wire.Listen("unix:" + path, Wires.Echo));
        }
        await File.WriteAllTextAsync(path, "");
        Assert.Throws<AddressUnavailableException>(() => wire.Listen("unix:" + path, Wires.Echo));
        Assert.True(File.Exists(path));
        File.Delete(path);
    }

    [Fact]
    public async Task Calls_after_the_wire_was_disposed_are_unreachable()
    {
        var wire = Wires.New();
        await using var server = Wires.New();
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        var link = wire.LinkTo(listener.Address);
        await link.StatAsync();

        await wire.DisposeAsync();
        var result = await link.StatAsync();

        Assert.Equal(CallOutcome.Unreachable, result.Outcome);
    }

    private static async Task<string> UnusedAddressAsync(IWire wire)
    {
        await using var listener = wire.Listen("127.0.0.1:0", Wires.Echo);
        return listener.Address;
    }
}
