using System.Collections.Concurrent;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport;
using Semel.Transport.Framing;

namespace Semel.Tests.Transport;

/// <summary>What a peer can make us hold, and who gives which buffer back.</summary>
public sealed class BoundsTests
{
    [Theory]
    [InlineData(10, int.MaxValue, 10)]
    [InlineData(1000, 100_000, 2)]
    [InlineData(1000, 1, 1)]
    public async Task A_connection_has_no_more_calls_in_progress_than_its_bounds_allow(int calls, int bytes, int most)
    {
        await using var server = Wires.New(new SocketWireOptions { Role = "master", MaxCallsInProgress = calls, MaxBytesInProgress = bytes });
        await using var client = Wires.New();
        var handler = new HoldingHandler();
        await using var listener = server.Listen("127.0.0.1:0", handler);
        var link = client.LinkTo(listener.Address);
        byte[] payload = new byte[40_000];
        var pending = Enumerable.Range(0, 200).Select(i => link.StatAsync($"/{i}", Payload.CopyOf(payload)).AsTask()).ToArray();

        for (int i = 0; i < pending.Length; i++)
        {
            var call = await handler.NextAsync();
            Assert.InRange(handler.Calls.Count + 1, 1, most);
            Assert.Equal($"/{i}", ((StatRequest)call.Header).Path);
            call.Reply(new StatReply());
        }

        Assert.All(await Task.WhenAll(pending), r => Assert.True(r.IsAnswered));
    }

    [Fact]
    public async Task A_handler_that_never_answers_slows_the_sender_and_not_its_memory()
    {
        await using var server = Wires.New(new SocketWireOptions { Role = "master", MaxCallsInProgress = 1 });
        var client = Wires.New(new SocketWireOptions { Role = "client", SendQueueBytes = 64 << 10 });
        var handler = new HoldingHandler();
        await using var listener = server.Listen("127.0.0.1:0", handler);
        var link = client.LinkTo(listener.Address);
        var payload = Payload.CopyOf(new byte[1 << 20]);
        await handler.AnswerOneAsync(link);

        var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(
            _ => link.StatAsync(payload: payload.Retain(), timeout: TimeSpan.FromMilliseconds(500)).AsTask()));
        await handler.NextAsync();
        await client.DisposeAsync();

        Assert.All(results, r => Assert.Equal(CallOutcome.TimedOut, r.Outcome));
        Assert.Contains(results, r => r.Detail!.Contains("waits to be sent", StringComparison.Ordinal));
        Assert.Equal(1, Wires.References(payload.Buffer!));
        Assert.Empty(handler.Calls);
    }

    [Fact]
    public async Task A_peer_that_does_not_read_its_replies_is_read_no_more()
    {
        const int Calls = 4000;
        await using var server = Wires.New(new SocketWireOptions { Role = "master", SendQueueBytes = 64 << 10 });
        int handled = 0;
        var handler = new Handler(call =>
        {
            Interlocked.Increment(ref handled);
            Wires.EchoTo(call);
        });
        await using var listener = server.Listen("127.0.0.1:0", handler);
        using var peer = await RawPeer.ConnectAsync(listener.Address);
        await peer.GreetAsync();
        peer.Socket.ReceiveBufferSize = 64 << 10;
        byte[] payload = new byte[30_000];

        var sending = SendAllAsync();
        await Assert.ThrowsAsync<TimeoutException>(() => sending.WaitAsync(TimeSpan.FromSeconds(1)));
        int handledUnread = Volatile.Read(ref handled);
        int replies = 0;
        while (replies < Calls)
            replies += (await peer.ReadFrameAsync()).Type is WireFrameType.Reply ? 1 : 0;
        await sending;

        Assert.InRange(handledUnread, 1, 1500);   // what fits into the kernel's buffers and ours, of 4000

        async Task SendAllAsync()
        {
            for (ulong id = 1; id <= Calls; id++)
                await peer.Socket.SendAsync(RawPeer.Frame(WireFrameType.Request, MessageKind.Stat, id, Wires.Ask(), payload, 10_000));
        }
    }

    [Fact]
    public async Task Every_buffer_comes_back()
    {
        var server = Wires.New();
        var client = Wires.New();
        var buffers = new ConcurrentBag<SharedBuffer>();
        var handler = new Handler(call =>
        {
            if (call.Payload.Buffer is { } buffer)
                buffers.Add(buffer);
            Wires.EchoTo(call);
        });
        var listener = server.Listen("127.0.0.1:0", handler);
        var link = client.LinkTo(listener.Address);
        var sent = new[] { 0, 1, 5_000, 20_000, 64 << 10, 100_000, 1 << 20, 3 << 20 }.Select(n => Payload.CopyOf(new byte[n])).ToArray();

        for (int round = 0; round < 20; round++)
        {
            foreach (var result in await Task.WhenAll(sent.Select(p => link.StatAsync(payload: p.Retain()).AsTask())))
            {
                if (result.Payload.Buffer is { } buffer)
                    buffers.Add(buffer);
                result.Payload.Release();
            }
        }
        await client.DisposeAsync();
        await listener.DisposeAsync();
        await server.DisposeAsync();

        Assert.All(sent.Where(p => p.Buffer is not null), p => Assert.Equal(1, Wires.References(p.Buffer!)));
        Assert.All(buffers, b => Assert.Equal(0, Wires.References(b)));
    }

    [Fact]
    public async Task Payloads_of_calls_that_fail_come_back_too()
    {
        var client = Wires.New();
        var server = Wires.New();
        var handler = new HoldingHandler();
        var listener = server.Listen("127.0.0.1:0", handler);
        var link = client.LinkTo(listener.Address);
        var payload = Payload.CopyOf(new byte[100_000]);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();

        var canceled = await link.StatAsync(payload: payload.Retain(), cancellation: cancelled.Token);
        var late = await link.StatAsync(payload: payload.Retain(), timeout: TimeSpan.Zero);
        var refused = await link.CallAsync((MessageKind)9999, Wires.Ask(), payload.Retain(), Wires.Long);
        var losing = link.StatAsync(payload: payload.Retain());
        await handler.NextAsync();
        await listener.DisposeAsync();
        var lost = await losing;
        var unreachable = await link.StatAsync(payload: payload.Retain());
        await client.DisposeAsync();
        await server.DisposeAsync();
        var disposed = await link.StatAsync(payload: payload.Retain());

        Assert.Equal(
            [CallOutcome.Canceled, CallOutcome.TimedOut, CallOutcome.Refused, CallOutcome.ConnectionLost, CallOutcome.Unreachable, CallOutcome.Unreachable],
            new[] { canceled, late, refused, lost, unreachable, disposed }.Select(r => r.Outcome));
        Assert.Equal(1, Wires.References(payload.Buffer!));
    }
}
