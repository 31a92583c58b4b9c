using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;

namespace Semel.Peers;

/// <summary>
/// RabbitMQ's stream protocol. Each client is a named publisher with growing publishing ids, which the broker uses to drop repeated records; it publishes to the
/// stream's leader in frames of a batch, as the official clients do. Verified by the broker's last publishing id of each publisher.
/// </summary>
internal sealed class RabbitMqStreams(LoadShape shape) : IPeer
{
    private const ushort DeclarePublisher = 1, Publish = 2, Confirm = 3, PublishError = 4, QueryPublisher = 5, CreateStream = 13, DeleteStream = 14, Metadata = 15;
    private const ushort PeerProperties = 17, SaslHandshake = 18, SaslAuthenticate = 19, Tune = 20, Open = 21, Heartbeat = 23;
    private const ushort ReplyBit = 0x8000;

    private readonly string _stream = $"bench-{Environment.ProcessId}-{Stopwatch.GetTimestamp()}";
    private int _leader;

    public void Prepare()
    {
        using var connection = Login(shape.Ports[0]);
        Request(connection, CreateStream, 6, w => w.Text(_stream).Int(0));
        for (int attempt = 0; attempt < 50 && _leader == 0; attempt++)
        {
            Thread.Sleep(200);
            _leader = LeaderWithReplicas(connection, shape.Ports.Length);
        }
        if (_leader == 0)
            throw new IOException("The stream has no leader with all its replicas after 10 s.");
    }

    public void Append(int client, ClientCount count)
    {
        using var connection = Login(_leader);
        Request(connection, DeclarePublisher, 5, w => w.Byte(1).Text(Reference(client)).Text(_stream));
        var payload = new byte[shape.Size];
        var begins = new long[shape.Window + 1];
        ulong next = 1;
        int underWay = 0;
        while (true)
        {
            while (!count.IsOver && underWay + shape.Batch <= shape.Window)
            {
                long now = Stopwatch.GetTimestamp();
                var frame = new FrameWriter(connection, Publish).Byte(1).Int(shape.Batch);
                for (int i = 0; i < shape.Batch; i++)
                {
                    begins[next % (ulong)begins.Length] = now;
                    frame.Long(next++).Int(shape.Size).Bytes(payload);
                }
                frame.End();
                underWay += shape.Batch;
            }
            if (underWay == 0)
                return;
            connection.Send();
            connection.Receive();
            while (TryTakeFrame(connection, out ushort key, out var body))
            {
                if (key is not (Confirm or PublishError))
                    continue;
                int records = BinaryPrimitives.ReadInt32BigEndian(body[1..]);
                underWay -= records;
                if (key == PublishError)
                    count.Errors += records;
                for (int i = 0; key == Confirm && i < records; i++)
                    count.Acknowledge(begins[BinaryPrimitives.ReadUInt64BigEndian(body[(5 + 8 * i)..]) % (ulong)begins.Length]);
            }
        }
    }

    public string? Verify(ClientCount[] counts)
    {
        using var connection = Login(_leader);
        string? fault = null;
        for (int i = 0; i < counts.Length && fault is null; i++)
        {
            var reply = Request(connection, QueryPublisher, 9, w => w.Text(Reference(i)).Text(_stream));
            ulong last = BinaryPrimitives.ReadUInt64BigEndian(reply.AsSpan(6));
            if (last != (ulong)counts[i].Acknowledged)
                fault = $"{counts[i].Acknowledged} records of {Reference(i)} were confirmed, the broker's last is {last}.";
        }
        Request(connection, DeleteStream, 8, w => w.Text(_stream));
        return fault;
    }

    private static string Reference(int client) => $"publisher-{client}";

    private static PeerConnection Login(int port)
    {
        var connection = new PeerConnection(port);
        Request(connection, PeerProperties, 1, w => w.Int(0));
        Request(connection, SaslHandshake, 2, w => w);
        Request(connection, SaslAuthenticate, 3, w => w.Text("PLAIN").Int(12).Bytes("\0guest\0guest"u8));
        var tune = Await(connection, Tune);
        new FrameWriter(connection, Tune).Int(BinaryPrimitives.ReadInt32BigEndian(tune)).Int(0).End();   // no heartbeats
        Request(connection, Open, 4, w => w.Text("/"));
        return connection;
    }

    /// <summary>0: not yet.</summary>
    private int LeaderWithReplicas(PeerConnection connection, int nodes)
    {
        new FrameWriter(connection, Metadata).Int(7).Int(1).Text(_stream).End();
        connection.Send();
        var rest = Await(connection, Metadata | ReplyBit).AsSpan(4);
        var ports = new Dictionary<int, int>();
        for (int brokers = TakeInt(ref rest); brokers > 0; brokers--)
        {
            int reference = TakeShort(ref rest);
            rest = rest[TakeShort(ref rest)..];
            ports[reference] = TakeInt(ref rest);
        }
        rest = rest[4..];
        rest = rest[TakeShort(ref rest)..];
        int code = TakeShort(ref rest), leader = TakeShort(ref rest), replicas = TakeInt(ref rest);
        return code == 1 && replicas == nodes - 1 ? ports.GetValueOrDefault(leader) : 0;
    }

    /// <summary>The body of the reply after its key and version: correlation id, code, rest.</summary>
    private static byte[] Request(PeerConnection connection, ushort key, int correlation, Func<FrameWriter, FrameWriter> body)
    {
        body(new FrameWriter(connection, key).Int(correlation)).End();
        connection.Send();
        var reply = Await(connection, (ushort)(key | ReplyBit));
        int code = BinaryPrimitives.ReadInt16BigEndian(reply.AsSpan(4));
        return code == 1 ? reply : throw new IOException($"RabbitMQ refused command {key} with code {code}.");
    }

    private static byte[] Await(PeerConnection connection, int key)
    {
        while (true)
        {
            while (TryTakeFrame(connection, out ushort got, out var body))
            {
                if (got == key)
                    return body.ToArray();
                // The broker tunes right after the authentication, and may say that it is alive.
                if (got is not (Heartbeat or Confirm))
                    throw new IOException($"RabbitMQ sent command {got}, not {key}.");
            }
            connection.Receive();
        }
    }

    private static bool TryTakeFrame(PeerConnection connection, out ushort key, out ReadOnlySpan<byte> body)
    {
        key = 0;
        body = default;
        var received = connection.Received;
        if (received.Length < 4)
            return false;
        int length = BinaryPrimitives.ReadInt32BigEndian(received);
        if (received.Length < 4 + length)
            return false;
        key = BinaryPrimitives.ReadUInt16BigEndian(received[4..]);
        body = received.Slice(8, length - 4);
        connection.Consume(4 + length);
        return true;
    }

    private static int TakeInt(ref Span<byte> rest)
    {
        int value = BinaryPrimitives.ReadInt32BigEndian(rest);
        rest = rest[4..];
        return value;
    }

    private static int TakeShort(ref Span<byte> rest)
    {
        int value = BinaryPrimitives.ReadInt16BigEndian(rest);
        rest = rest[2..];
        return value;
    }

    /// <summary>Composes a frame: length, key, version 1, and what follows. Big endian.</summary>
    private readonly struct FrameWriter
    {
        private readonly PeerConnection _connection;
        private readonly int _start;

        public FrameWriter(PeerConnection connection, ushort key)
        {
            _connection = connection;
            _start = connection.Pending;
            Int(0);
            Short(key);
            Short(1);
        }

        public FrameWriter Byte(byte value)
        {
            _connection.Compose(1)[0] = value;
            return this;
        }

        public FrameWriter Int(int value)
        {
            BinaryPrimitives.WriteInt32BigEndian(_connection.Compose(4), value);
            return this;
        }

        public FrameWriter Long(ulong value)
        {
            BinaryPrimitives.WriteUInt64BigEndian(_connection.Compose(8), value);
            return this;
        }

        public FrameWriter Bytes(ReadOnlySpan<byte> bytes)
        {
            _connection.Compose(bytes);
            return this;
        }

        public FrameWriter Text(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            Short((ushort)bytes.Length);
            return Bytes(bytes);
        }

        public void End() => BinaryPrimitives.WriteInt32BigEndian(_connection.Composed[_start..], _connection.Pending - _start - 4);

        private void Short(ushort value) => BinaryPrimitives.WriteUInt16BigEndian(_connection.Compose(2), value);
    }
}
