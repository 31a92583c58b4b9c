using System.Buffers.Binary;
using Microsoft.Extensions.Logging;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport;
using Semel.Transport.Connections;
using Semel.Transport.Framing;

namespace Semel.Tests.Transport;

/// <summary>Whatever comes in on a port: the connection is closed, and nothing else happens.</summary>
public sealed class HostileBytesTests
{
    private static readonly WireLimits Limits = new(4 << 20, 20 << 20);

    [Fact]
    public void A_million_mutated_frames_do_not_harm_the_decoder()
    {
        var random = new Random(20260714);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int whole = 0, faulty = 0, cutShort = 0, unparsable = 0;
        for (int i = 0; i < 1_000_000; i++)
        {
            var received = new ReceiveBuffer(Limits);
            byte[] bytes = Hostile.Frame(random);
            Feed(received, bytes, ref whole, ref faulty, ref cutShort, ref unparsable);
            received.Release();
        }
        long allocatedEach = (GC.GetAllocatedBytesForCurrentThread() - before) / 1_000_000;

        Assert.InRange(allocatedEach, 0, 4_000);   // what the frames here need; no length that only claims is believed
        Assert.True(whole > 10_000 && faulty > 10_000 && cutShort > 10_000 && unparsable > 100, $"{whole} {faulty} {cutShort} {unparsable}");
    }

    [Fact]
    public async Task Thousands_of_hostile_connections_do_not_disturb_a_good_client()
    {
        await using var server = Wires.New();
        await using var client = Wires.New();
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        var link = client.LinkTo(listener.Address);
        using var attack = new CancellationTokenSource();
        var good = GoodClientAsync();

        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => AttackAsync(new Random(seed))));
        attack.Cancel();
        int answered = await good;

        Assert.True(answered > 0);
        Assert.True((await link.StatAsync()).IsAnswered);

        async Task<int> GoodClientAsync()
        {
            int calls = 0;
            for (; !attack.IsCancellationRequested; calls++)
            {
                var result = await link.StatAsync("/good", Payload.CopyOf(new byte[calls % 3000]));
                Assert.Equal("/good", result.Answer<StatReply>().Detail);
                result.Payload.Release();
            }
            return calls;
        }

        async Task AttackAsync(Random random)
        {
            for (int i = 0; i < 400; i++)
            {
                using var peer = await RawPeer.ConnectAsync(listener.Address);
                try
                {
                    if (random.Next(4) != 0)
                        await peer.GreetAsync();
                    for (int frames = random.Next(1, 10); frames > 0; frames--)
                        await peer.SendAsync(Hostile.Frame(random));
                }
                catch (System.Net.Sockets.SocketException)
                {
                    // Closed already.
                }
            }
        }
    }

    [Fact]
    public async Task A_hostile_server_does_no_more_than_fail_the_calls()
    {
        using var listening = new System.Net.Sockets.Socket(
            System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
        listening.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        listening.Listen();
        await using var client = Wires.New();
        var link = client.LinkTo(listening.LocalEndPoint!.ToString()!);
        var random = new Random(5);

        for (int i = 0; i < 100; i++)
        {
            var pending = link.StatAsync().AsTask();
            using (var socket = await listening.AcceptAsync())
            {
                var (hello, _) = await Handshake.ReceiveAsync(socket, WireFrameType.Hello, default);
                if (random.Next(4) != 0 && hello is not null)
                    await Handshake.SendAsync(socket, WireFrameType.Welcome, Handshake.About(new SocketWireOptions { Role = "master" }), default);
                for (int frames = 0; frames < 5; frames++)
                {
                    try
                    {
                        await socket.SendAsync(Hostile.Frame(random));
                    }
                    catch (System.Net.Sockets.SocketException)
                    {
                        break;
                    }
                }
            }

            var outcome = (await pending.WaitAsync(Wires.Long)).Outcome;
            Assert.True(outcome is not CallOutcome.TimedOut and not CallOutcome.Canceled, outcome.ToString());
        }
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: semel\r\nAccept: */*\r\n\r\n")]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]
    public async Task Another_protocol_is_closed_with_one_line_in_the_log(string text)
    {
        var log = new ListLog();
        await using var server = Wires.New(loggers: log);
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        for (int i = 0; i < 20; i++)
        {
            using var peer = await RawPeer.ConnectAsync(listener.Address);

            await peer.SendAsync(System.Text.Encoding.ASCII.GetBytes(text));
            await peer.ReadToEndAsync();
        }

        Assert.InRange(log.Lines.Count(line => line.Contains("not Semel's protocol", StringComparison.Ordinal)), 1, 20);
        Assert.True(log.Lines.Count < 20, "one line a second");
    }

    [Fact]
    public async Task The_peer_is_told_what_was_wrong()
    {
        await using var server = Wires.New();
        await using var listener = server.Listen("127.0.0.1:0", Wires.Echo);
        using var peer = await RawPeer.ConnectAsync(listener.Address);
        await peer.GreetAsync();

        await peer.SendAsync(RawPeer.Frame(WireFrameType.Reply, MessageKind.Stat, 1));
        byte[] answer = await peer.ReadToEndAsync();

        Assert.True(WireFramePrefix.TryRead(answer, Limits, out var prefix, out _));
        Assert.Equal(WireFrameType.Goodbye, prefix.Type);
        Assert.Contains("Reply", System.Text.Encoding.UTF8.GetString(answer.AsSpan(WireFramePrefix.Size)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_handler_that_throws_costs_its_caller_the_connection_and_is_logged_as_an_error()
    {
        var log = new ListLog();
        await using var server = Wires.New(loggers: log);
        await using var client = Wires.New();
        bool throws = true;
        var handler = new Handler(call =>
        {
            if (throws)
                throw new InvalidOperationException("a bug of ours");
            Wires.EchoTo(call);
        });
        await using var listener = server.Listen("127.0.0.1:0", handler);
        var link = client.LinkTo(listener.Address);

        var failed = await link.StatAsync();
        throws = false;
        var answered = await link.StatAsync();

        Assert.Equal(CallOutcome.ConnectionLost, failed.Outcome);
        Assert.True(answered.IsAnswered);
        Assert.Contains(log.Lines, line => line.StartsWith("Error", StringComparison.Ordinal) && line.Contains("Stat", StringComparison.Ordinal));
    }

    private static void Feed(ReceiveBuffer received, ReadOnlySpan<byte> bytes, ref int whole, ref int faulty, ref int cutShort, ref int unparsable)
    {
        while (!bytes.IsEmpty)
        {
            var room = received.Room();
            int taken = Math.Min(room.Length, bytes.Length);
            bytes[..taken].CopyTo(room.Span);
            bytes = bytes[taken..];
            received.Received(taken);
            string? fault;
            while (received.HasFrame(out var prefix, out fault))
            {
                if (!received.TryCut(out var header, out var payload, out fault))
                    break;
                whole++;
                Assert.Equal(Crc32C.Compute(payload.Span), payload.Crc);
                if (prefix.Type is WireFrameType.Request && MessageParsers.OfRequest(prefix.Kind) is { } parser
                    && !MessageParsers.TryParse(parser, header, out _, out _))
                {
                    unparsable++;
                }
                payload.Release();
            }
            if (fault is not null)
            {
                faulty++;
                return;
            }
        }
        if (!received.IsEmpty)
            cutShort++;
    }

    /// <summary>Bytes that are almost a frame, a frame that is almost right, or nothing of the kind.</summary>
    private static class Hostile
    {
        private static readonly MessageKind[] Kinds = [.. MessageCatalog.Kinds];

        public static byte[] Frame(Random random)
        {
            if (random.Next(10) == 0)
                return Noise(random, random.Next(1, 300));
            byte[] bytes = RawPeer.Frame(
                new WireFramePrefix
                {
                    Type = (WireFrameType)random.Next(0, 10),
                    Kind = random.Next(5) == 0 ? (MessageKind)random.Next(65536) : Kinds[random.Next(Kinds.Length)],
                    CallId = (ulong)random.Next(4),
                    TimeLeftMs = random.Next(2) == 0 ? 0 : (uint)random.NextInt64(1L << 32),
                    PayloadCovered = random.Next(5) != 0,
                },
                Noise(random, random.Next(40)),
                Noise(random, random.Next(3) == 0 ? random.Next(200) : 0));
            for (int changes = random.Next(3); changes > 0; changes--)
                Change(bytes, random);
            if (random.Next(2) == 0)
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, Crc32C.Compute(bytes.AsSpan(4..WireFramePrefix.Size)));   // so that the lies get further
            return random.Next(8) == 0 ? bytes[..random.Next(1, bytes.Length)] : bytes;
        }

        private static void Change(byte[] bytes, Random random)
        {
            switch (random.Next(4))
            {
                case 0:
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:   // a lying length
                    BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8 + 4 * random.Next(3)), (uint)random.NextInt64(1L << random.Next(1, 33)));
                    break;
                case 2:   // lengths that lie and agree
                    uint header = (uint)random.Next(100), payload = (uint)random.Next(30 << 20);
                    BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), (uint)WireFramePrefix.Size + header + payload);
                    BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), header);
                    BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(16), payload);
                    break;
                default:
                    random.NextBytes(bytes.AsSpan(random.Next(bytes.Length)));
                    break;
            }
        }

        private static byte[] Noise(Random random, int length)
        {
            byte[] bytes = new byte[length];
            random.NextBytes(bytes);
            return bytes;
        }
    }

    private sealed class ListLog : ILoggerFactory, ILogger
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> Lines
        {
            get
            {
                lock (_lines)
                    return [.. _lines];
            }
        }

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) { }

        public void Dispose() { }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (logLevel < LogLevel.Warning)
                return;
            lock (_lines)
                _lines.Add($"{logLevel} {eventId.Id} {formatter(state, exception)}");
        }
    }
}
