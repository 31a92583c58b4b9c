using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;
using Xunit;

namespace Semel.Tests.Simulation;

public sealed class WireTests
{
    private readonly SimulatedWorld _world = new(1);
    private readonly SimulatedNetwork _network;
    private readonly SimulatedProcess _client;
    private readonly SimulatedProcess _server;
    private readonly ILink _link;
    private readonly List<IncomingCall> _held = [];
    private int _handled;

    public WireTests()
    {
        _network = new SimulatedNetwork(_world);
        _client = _world.StartProcess("client");
        _server = _world.StartProcess("server");
        _link = new SimulatedWire(_network, _client, "c").LinkTo("s:1");
    }

    [Fact]
    public void An_answer_comes_back_with_header_and_payload_of_its_own()
    {
        Listen(call => call.Reply(new StatReply { Detail = ((StatRequest)call.Header).Path }, Payload.CopyOf([.. call.Payload.Span, 9])));

        var result = Call(new StatRequest { Path = "/a" }, Payload.CopyOf([1, 2]));

        Assert.Equal("/a", result.Answer<StatReply>().Detail);
        Assert.Equal([1, 2, 9], result.Payload.Span.ToArray());
    }

    [Fact]
    public void A_process_that_is_down_on_a_host_that_is_up_is_unreachable_at_once()
    {
        var result = Call(new StatRequest());

        Assert.Equal(CallOutcome.Unreachable, result.Outcome);
        Assert.True(_world.Now < TimeSpan.FromMilliseconds(2));
    }

    [Fact]
    public void A_host_without_power_does_not_even_refuse()
    {
        _network.SetPower("s", false);

        var result = Call(new StatRequest());

        Assert.Equal(CallOutcome.TimedOut, result.Outcome);
        Assert.True(_world.Now >= TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void A_lost_request_ends_with_its_timeout()
    {
        Listen(call => call.Reply(new StatReply()));
        _network.Faults = new NetworkFaults { Loss = 1, LossBreaksConnection = 0 };

        Assert.Equal(CallOutcome.TimedOut, Call(new StatRequest()).Outcome);
        Assert.Equal(0, _handled);
    }

    [Fact]
    public void A_lost_reply_leaves_the_caller_in_doubt_although_the_work_was_done()
    {
        Listen(call => call.Reply(new StatReply()));
        _network.Cut("s", "c");

        Assert.Equal(CallOutcome.TimedOut, Call(new StatRequest()).Outcome);
        Assert.Equal(1, _handled);
    }

    [Fact]
    public void A_broken_connection_is_noticed_at_once()
    {
        Listen(call => call.Reply(new StatReply()));
        _network.Faults = new NetworkFaults { Loss = 1, LossBreaksConnection = 1 };

        Assert.Equal(CallOutcome.ConnectionLost, Call(new StatRequest()).Outcome);
        Assert.True(_world.Now < TimeSpan.FromMilliseconds(2));
    }

    [Fact]
    public void A_duplicated_request_is_handled_twice_and_answered_once()
    {
        Listen(call => call.Reply(new StatReply { FileId = (ulong)_handled }));
        _network.Faults = new NetworkFaults { Duplication = 1 };

        var result = Call(new StatRequest());
        Run(TimeSpan.FromSeconds(1));

        Assert.Equal(1ul, result.Answer<StatReply>().FileId);
        Assert.Equal(2, _handled);
    }

    [Fact]
    public void A_peer_that_dies_with_the_call_in_its_hands_loses_the_connection()
    {
        Listen(_held.Add);
        _world.After(TimeSpan.FromMilliseconds(5), _server.Kill);

        Assert.Equal(CallOutcome.ConnectionLost, Call(new StatRequest()).Outcome);
        Assert.InRange(_world.Now, TimeSpan.FromMilliseconds(5), TimeSpan.FromMilliseconds(6));
    }

    [Fact]
    public void A_paused_peer_answers_when_it_wakes_up()
    {
        Listen(call => call.Reply(new StatReply()));
        _server.Pause();
        _world.After(TimeSpan.FromMilliseconds(300), _server.Resume);

        Assert.True(Call(new StatRequest()).IsAnswered);
        Assert.True(_world.Now >= TimeSpan.FromMilliseconds(300));
    }

    [Fact]
    public void A_server_learns_that_its_caller_gave_up()
    {
        Listen(_held.Add);

        var result = Call(new StatRequest());
        Run(TimeSpan.FromMilliseconds(10));

        Assert.Equal(CallOutcome.TimedOut, result.Outcome);
        Assert.True(Assert.Single(_held).CallerGone.IsCancellationRequested);
    }

    [Fact]
    public void A_cancelled_call_may_still_take_effect()
    {
        Listen(_held.Add);
        using var giveUp = new CancellationTokenSource();
        _world.After(TimeSpan.FromMilliseconds(20), _client, giveUp.Cancel);

        var result = Call(new StatRequest(), cancellation: giveUp.Token);

        Assert.Equal(CallOutcome.Canceled, result.Outcome);
        Assert.Equal(1, _handled);
    }

    [Fact]
    public void An_address_is_bound_once()
    {
        Listen(_held.Add);

        var other = new SimulatedWire(_network, _world.StartProcess("other"), "s");

        Assert.Throws<AddressUnavailableException>(() => other.Listen("s:1", new Handler(_held.Add)));
        Assert.NotEqual("s:0", other.Listen("s:0", new Handler(_held.Add)).Address);
    }

    private void Listen(Action<IncomingCall> handle) => new SimulatedWire(_network, _server, "s").Listen("s:1", new Handler(call =>
    {
        _handled++;
        handle(call);
    }));

    private CallResult Call(IMessage header, Payload payload = default, CancellationToken cancellation = default)
    {
        CallResult? result = null;
        _client.Start(async () => result = await _link.CallAsync(MessageKind.Stat, header, payload, TimeSpan.FromSeconds(1), cancellation));
        Assert.True(_world.RunUntil(() => result is not null, TimeSpan.FromSeconds(5), "the call"), _world.Failure);
        return result!.Value;
    }

    private void Run(TimeSpan time)
    {
        bool over = false;
        _world.After(time, () => over = true);
        Assert.True(_world.RunUntil(() => over, TimeSpan.FromHours(1), "time"), _world.Failure);
    }

    private sealed class Handler(Action<IncomingCall> handle) : ICallHandler
    {
        public void Handle(IncomingCall call) => handle(call);
    }
}
