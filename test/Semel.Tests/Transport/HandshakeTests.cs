using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport;
using Semel.Transport.Framing;

namespace Semel.Tests.Transport;

/// <summary>Who may talk to whom.</summary>
public sealed class HandshakeTests
{
    [Fact]
    public async Task Another_cluster_is_refused_and_both_are_named()
    {
        await using var client = Wires.New(cluster: "red");
        await using var server = Wires.New(cluster: "blue");
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);

        var result = await client.LinkTo(listener.Address).StatAsync();

        Assert.Equal(CallOutcome.Refused, result.Outcome);
        Assert.Contains("red", result.Detail, StringComparison.Ordinal);
        Assert.Contains("blue", result.Detail, StringComparison.Ordinal);
        Assert.Contains(listener.Address, result.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "blue")]
    [InlineData("blue", null)]
    [InlineData("blue", "")]
    [InlineData("blue", "blue")]
    public async Task A_process_that_knows_no_cluster_yet_may_talk_to_all(string? ours, string? theirs)
    {
        await using var client = Wires.New(cluster: ours);
        await using var server = Wires.New(cluster: theirs);
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);

        Assert.True((await client.LinkTo(listener.Address).StatAsync()).IsAnswered);
    }

    [Fact]
    public async Task A_refused_client_gets_in_once_the_reason_is_gone()
    {
        string cluster = "red";
        await using var client = Wires.New(new SocketWireOptions { Role = "client", ClusterId = () => cluster });
        await using var server = Wires.New(cluster: "blue");
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        var link = client.LinkTo(listener.Address);
        var refused = await link.StatAsync();

        cluster = "blue";
        var answered = await link.StatAsync();

        Assert.Equal(CallOutcome.Refused, refused.Outcome);
        Assert.True(answered.IsAnswered);
    }

    [Fact]
    public async Task Another_version_of_the_protocol_is_refused_in_words()
    {
        await using var server = Wires.New();
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        using var peer = await RawPeer.ConnectAsync(listener.Address);

        var welcome = await peer.GreetAsync(hello => hello.ProtocolVersion = 77);

        Assert.Contains("77", welcome.Refusal, StringComparison.Ordinal);
        Assert.Empty(await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task Whoever_says_no_hello_is_closed()
    {
        var time = new ManualTime();
        await using var server = Wires.New(time: time);
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        using var silent = await RawPeer.ConnectAsync(listener.Address);
        var end = silent.ReadToEndAsync();

        while (!end.IsCompleted)   // the accept loop may not have begun to wait yet
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        Assert.Empty(await end);
    }

    [Fact]
    public async Task Two_listeners_that_greet_each_other_wrongly_notice()
    {
        await using var server = Wires.New();
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        using var peer = await RawPeer.ConnectAsync(listener.Address);

        await peer.SendAsync(RawPeer.Frame(WireFrameType.Welcome, header: new Hello { ProtocolVersion = 1 }));

        Assert.Empty(await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task More_connections_than_the_limit_are_closed_at_once_and_the_others_go_on()
    {
        await using var server = Wires.New(new SocketWireOptions { Role = "master", MaxAcceptedConnections = 2 });
        await using var client = Wires.New();
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        var link = client.LinkTo(listener.Address);
        Assert.True((await link.StatAsync()).IsAnswered);
        using var second = await RawPeer.ConnectAsync(listener.Address);
        await second.GreetAsync();
        using var third = await RawPeer.ConnectAsync(listener.Address);

        Assert.Empty(await third.ReadToEndAsync());
        Assert.True((await link.StatAsync()).IsAnswered);
    }
}
