using System.Collections.Concurrent;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Scheduling;
using Semel.Protocol.Wires;
using Semel.Transport;

namespace Semel.Tests.Transport;

/// <summary>What a call over sockets gives its caller and its handler.</summary>
public sealed class CallTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(16 << 10)]
    [InlineData((16 << 10) + 1)]
    [InlineData(128 << 10)]
    [InlineData(1 << 20)]
    [InlineData(20 << 20)]
    public async Task A_call_brings_header_and_payload_there_and_back(int length)
    {
        await using var wire = Wires.New();
        await using var listener = wire.Listen("127.0.0.1:0", Wires.Echo);
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);

        var result = await wire.LinkTo(listener.Address).StatAsync("/there", Payload.CopyOf(bytes));

        Assert.Equal(CallOutcome.Answered, result.Outcome);
        Assert.Equal("/there", result.Answer<StatReply>().Detail);
        Assert.True(result.Payload.Span.SequenceEqual(bytes));
        result.Payload.Release();
    }

    [Fact]
    public async Task Many_calls_of_all_sizes_share_a_connection()
    {
        await using var wire = Wires.New();
        await using var listener = wire.Listen("127.0.0.1:0", Wires.Echo);
        var link = wire.LinkTo(listener.Address);

        await Task.WhenAll(Enumerable.Range(0, 64).Select(async caller =>
        {
            var random = new Random(caller);
            for (int i = 0; i < 50; i++)
            {
                byte[] bytes = new byte[random.Next(8) == 0 ? random.Next(400_000) : random.Next(2_000)];
                random.NextBytes(bytes);
                var result = await link.StatAsync($"/{caller}/{i}", Payload.CopyOf(bytes));
                Assert.Equal($"/{caller}/{i}", result.Answer<StatReply>().Detail);
                Assert.True(result.Payload.Span.SequenceEqual(bytes));
                result.Payload.Release();
            }
        }));
    }

    [Fact]
    public async Task Replies_may_come_in_another_order_than_their_requests()
    {
        await using var wire = Wires.New();
        var handler = new HoldingHandler();
        await using var listener = wire.Listen("127.0.0.1:0", handler);
        var link = wire.LinkTo(listener.Address);
        var first = link.StatAsync("/first").AsTask();
        var one = await handler.NextAsync();
        var second = link.StatAsync("/second").AsTask();
        var two = await handler.NextAsync();

        Wires.EchoTo(two);
        var early = await second;
        bool firstWaits = !first.IsCompleted;
        Wires.EchoTo(one);
        var late = await first;

        Assert.True(firstWaits);
        Assert.Equal("/second", early.Answer<StatReply>().Detail);
        Assert.Equal("/first", late.Answer<StatReply>().Detail);
    }

    [Fact]
    public async Task A_call_that_is_not_answered_in_time_has_timed_out_and_its_handler_hears_of_it()
    {
        await using var wire = Wires.New();
        var handler = new HoldingHandler();
        await using var listener = wire.Listen("127.0.0.1:0", handler);
        var link = wire.LinkTo(listener.Address);
        await handler.AnswerOneAsync(link);

        var result = await link.StatAsync(timeout: TimeSpan.FromMilliseconds(300));
        var call = await handler.NextAsync();
        await Gone(call);

        Assert.Equal(CallOutcome.TimedOut, result.Outcome);
        Assert.InRange(call.TimeLeft, TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(301));
        Wires.EchoTo(call);   // too late, and harmless
        Assert.True((await link.StatAsync(timeout: TimeSpan.FromMilliseconds(1))).Outcome is CallOutcome.TimedOut);
    }

    [Fact]
    public async Task Cancellation_ends_a_call_and_reaches_the_handler()
    {
        await using var wire = Wires.New();
        var handler = new HoldingHandler();
        await using var listener = wire.Listen("127.0.0.1:0", handler);
        using var cancel = new CancellationTokenSource();
        var pending = wire.LinkTo(listener.Address).StatAsync(cancellation: cancel.Token);
        var call = await handler.NextAsync();
        var gone = Gone(call);
        bool goneBefore = call.CallerGone.IsCancellationRequested;

        cancel.Cancel();
        var result = await pending;
        await gone;

        Assert.False(goneBefore);
        Assert.Equal(CallOutcome.Canceled, result.Outcome);
    }

    [Fact]
    public async Task The_caller_of_a_closed_connection_is_gone()
    {
        var caller = Wires.New();
        await using var wire = Wires.New();
        var handler = new HoldingHandler();
        await using var listener = wire.Listen("127.0.0.1:0", handler);
        var pending = caller.LinkTo(listener.Address).StatAsync();
        var call = await handler.NextAsync();

        await caller.DisposeAsync();
        var result = await pending;
        await Gone(call);
        var payload = Payload.CopyOf([1]);
        call.Reply(new StatReply(), payload.Retain());

        Assert.Equal(CallOutcome.ConnectionLost, result.Outcome);
        await Wires.UntilAsync(() => Wires.References(payload.Buffer!) == 1);
    }

    [Fact]
    public async Task An_unknown_kind_is_refused_and_the_connection_goes_on()
    {
        await using var wire = Wires.New();
        await using var listener = wire.Listen("127.0.0.1:0", Wires.Echo);
        var link = wire.LinkTo(listener.Address);

        var refused = await link.CallAsync((MessageKind)9999, Wires.Ask(), Payload.CopyOf([1, 2, 3]), Wires.Long);
        var answered = await link.StatAsync();

        Assert.Equal(CallOutcome.Refused, refused.Outcome);
        Assert.Contains("9999", refused.Detail, StringComparison.Ordinal);
        Assert.True(answered.IsAnswered);
    }

    [Fact]
    public async Task A_request_over_the_limit_is_refused_before_it_is_sent()
    {
        await using var wire = Wires.New(new SocketWireOptions { Role = "client", MaxPayloadBytes = 1000 });
        await using var listener = wire.Listen("127.0.0.1:0", Wires.Echo);

        var result = await wire.LinkTo(listener.Address).StatAsync(payload: Payload.CopyOf(new byte[1001]));

        Assert.Equal(CallOutcome.Refused, result.Outcome);
        Assert.Contains("1001", result.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_work_over_Unix_sockets()
    {
        string path = Path.Combine(Path.GetTempPath(), $"semel-{Environment.ProcessId}-{nameof(CallTests)}.sock");
        await using var wire = Wires.New();
        File.Delete(path);
        await using (var listener = wire.Listen("unix:" + path, Wires.Echo))
        {
            var result = await wire.LinkTo(listener.Address).StatAsync("/u", Payload.CopyOf(new byte[300_000]));

            Assert.Equal("unix:" + path, listener.Address);
            Assert.Equal("/u", result.Answer<StatReply>().Detail);
            Assert.Equal(300_000, result.Payload.Length);
            result.Payload.Release();
        }
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task Nothing_of_the_wire_runs_on_its_callers_context()
    {
        await using var wire = Wires.New();
        var contexts = new ConcurrentBag<SynchronizationContext?>();
        await using var listener = wire.Listen("127.0.0.1:0", new Handler(call =>
        {
            contexts.Add(SynchronizationContext.Current);
            Wires.EchoTo(call);
        }));
        var context = SerialContext.Create();
        var link = wire.LinkTo(listener.Address);

        await context;
        bool stayed = true;
        for (int i = 0; i < 100; i++)
        {
            var result = await link.StatAsync(payload: Payload.CopyOf(new byte[10_000]));
            stayed &= context.IsCurrent && result.IsAnswered;
            result.Payload.Release();
        }

        Assert.True(stayed);
        Assert.All(contexts, Assert.Null);
    }

    private static async Task Gone(IncomingCall call)
    {
        var gone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = call.CallerGone.Register(() => gone.TrySetResult());
        await gone.Task.WaitAsync(Wires.Long);
    }
}
