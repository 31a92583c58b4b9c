using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport;
using Semel.Transport.Framing;

namespace Semel.Tests.Transport;

/// <summary>Peers that say nothing any more, and waits that the clock ends.</summary>
public sealed class KeepAliveTests
{
    [Fact]
    public async Task An_idle_connection_outlives_many_ping_intervals()
    {
        // The clock runs far ahead of the sockets on a busy machine: many missed intervals must not look like death.
        var time = new ManualTime();
        var options = new SocketWireOptions { Role = "client", DeadAfter = TimeSpan.FromSeconds(300) };
        await using var client = Wires.New(options, time);
        await using var server = Wires.New(options, time);
        var handler = new HoldingHandler();
        await using var listener = server.Listen("127.0.0.1:0", handler);
        var pending = client.LinkTo(listener.Address).StatAsync(timeout: TimeSpan.FromHours(1)).AsTask();
        var call = await handler.NextAsync();
        bool gone = false;
        await using var registration = call.CallerGone.Register(() => gone = true);

        using var peer = await RawPeer.ConnectAsync(listener.Address);
        await peer.GreetAsync();
        int pings = 0;
        for (ulong id = 1; id <= 100; id++)   // each answer shows that the server's side of the step is over
        {
            time.Advance(TimeSpan.FromSeconds(5));
            await peer.SendAsync(RawPeer.Frame(WireFrameType.Request, MessageKind.Stat, id, Wires.Ask(), timeLeftMs: 1));
            Wires.EchoTo(await handler.NextAsync());
            while ((await peer.ReadFrameAsync()).Type is WireFrameType.Ping)
                pings++;
        }
        Wires.EchoTo(call);

        Assert.True((await pending).IsAnswered);
        Assert.False(gone);
        Assert.InRange(pings, 50, 100);
    }

    [Fact]
    public async Task A_peer_that_was_silent_for_15_seconds_is_dead()
    {
        var time = new ManualTime();
        await using var server = Wires.New(time: time);
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        using var peer = await RawPeer.ConnectAsync(listener.Address);
        await peer.GreetAsync();
        await peer.SendAsync(RawPeer.Frame(WireFrameType.Request, MessageKind.Stat, 1, Wires.Ask(), timeLeftMs: 1));
        byte[] buffer = new byte[1000];
        Assert.True(await peer.Socket.ReceiveAsync(buffer).WaitAsync(Wires.Long) > 0);   // the connection lives
        var end = peer.ReadToEndAsync();

        time.Advance(TimeSpan.FromSeconds(14));
        bool early = end.IsCompleted;
        time.Advance(TimeSpan.FromSeconds(2));
        await end.WaitAsync(Wires.Long);

        Assert.False(early);
    }

    [Fact]
    public async Task Deadlines_come_due_by_the_wires_clock()
    {
        var time = new ManualTime();
        await using var client = Wires.New(time: time);
        await using var server = Wires.New();
        var handler = new HoldingHandler();
        await using var listener = server.Listen("127.0.0.1:0", handler);
        var link = client.LinkTo(listener.Address);
        var seconds = Enumerable.Range(1, 12).ToArray();
        var pending = seconds.Select(s => link.StatAsync($"/{s}", timeout: TimeSpan.FromSeconds(s)).AsTask()).ToArray();
        foreach (int _ in seconds)
            await handler.NextAsync();

        for (int second = 1; second <= 12; second++)
        {
            time.Advance(TimeSpan.FromMilliseconds(second * 1000 - 1) - time.Elapsed);
            Assert.All(pending[(second - 1)..], p => Assert.False(p.IsCompleted));
            time.Advance(TimeSpan.FromMilliseconds(25));
            Assert.Equal(CallOutcome.TimedOut, (await pending[second - 1].WaitAsync(Wires.Long)).Outcome);
        }
    }

    [Fact]
    public async Task A_call_that_waits_for_a_pause_between_attempts_is_unreachable_when_its_time_is_over()
    {
        var time = new ManualTime();
        await using var client = Wires.New(time: time);
        await using var server = Wires.New();
        string address;
        await using (var listener = server.Listen("127.0.0.1:0", Wires.Echo))
            address = listener.Address;
        var link = client.LinkTo(address);
        var first = await link.StatAsync();

        var second = link.StatAsync(timeout: TimeSpan.FromMilliseconds(1)).AsTask();
        bool waited = !second.IsCompleted;   // the clock stands still, so the pause is not over
        time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(CallOutcome.Unreachable, first.Outcome);
        Assert.True(waited);
        Assert.Equal(CallOutcome.Unreachable, (await second.WaitAsync(Wires.Long)).Outcome);
    }
}
