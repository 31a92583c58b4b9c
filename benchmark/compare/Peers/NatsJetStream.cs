using System.Buffers.Text;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Semel.Peers;

/// <summary>
/// NATS JetStream: a stream with three replicas on file storage. Every record carries <c>Nats-Msg-Id</c>, by which the server drops repeated ones; clients publish to the stream's
/// leader and count the acknowledgements. Verified by the number of messages that the stream holds.
/// </summary>
internal sealed class NatsJetStream(LoadShape shape) : IPeer
{
    private const string Stream = "BENCH";

    private readonly string _run = $"{Environment.ProcessId:x}{Stopwatch.GetTimestamp():x}";
    private int _leader;

    public void Prepare()
    {
        Api($"$JS.API.STREAM.DELETE.{Stream}", "");
        JsonElement made = default;
        for (int attempt = 0; attempt < 40; attempt++)
        {
            made = Api($"$JS.API.STREAM.CREATE.{Stream}",
                $$"""{"name":"{{Stream}}","subjects":["bench.*"],"retention":"limits","storage":"file","discard":"old","num_replicas":{{shape.Ports.Length}},"duplicate_window":120000000000}""");
            if (!made.TryGetProperty("error", out _))
                break;
            Thread.Sleep(500);
        }
        if (made.TryGetProperty("error", out var error))
            throw new IOException($"NATS made no stream: {error}");
        Thread.Sleep(700);      // until all replicas take part
        string leader = Api($"$JS.API.STREAM.INFO.{Stream}", "").GetProperty("cluster").GetProperty("leader").GetString()!;
        _leader = shape.Ports[int.Parse(leader[1..], CultureInfo.InvariantCulture) - 1];     // servers are named n1, n2, n3
    }

    public void Append(int client, ClientCount count)
    {
        using var connection = new PeerConnection(_leader);
        string inbox = $"_INBOX.{_run}.{client}";
        Greet(connection, inbox);
        var payload = new byte[shape.Size];
        var begins = new long[shape.Window];
        long next = 0;
        int underWay = 0;
        while (true)
        {
            while (underWay < shape.Window && !count.IsOver)
            {
                begins[next % begins.Length] = Stopwatch.GetTimestamp();
                Publish(connection, client, inbox, next++, payload);
                underWay++;
            }
            if (underWay == 0)
                return;
            connection.Send();
            connection.Receive();
            while (TryTakeMessage(connection, out long id, out string? error))
            {
                underWay--;
                if (error is not null)
                    count.Errors++;
                else
                    count.Acknowledge(begins[id % begins.Length]);
            }
        }
    }

    public string? Verify(ClientCount[] counts)
    {
        long stored = Api($"$JS.API.STREAM.INFO.{Stream}", "").GetProperty("state").GetProperty("messages").GetInt64();
        long acknowledged = counts.Sum(c => c.Acknowledged);
        Api($"$JS.API.STREAM.DELETE.{Stream}", "");
        return stored == acknowledged ? null : $"{acknowledged} records were acknowledged, the stream held {stored}.";
    }

    private void Publish(PeerConnection connection, int client, string inbox, long id, ReadOnlySpan<byte> payload)
    {
        string headers = string.Create(CultureInfo.InvariantCulture, $"NATS/1.0\r\nNats-Msg-Id: {_run}-{client}-{id}\r\n\r\n");
        Text(connection, string.Create(CultureInfo.InvariantCulture, $"HPUB bench.{client} {inbox}.{id} {headers.Length} {headers.Length + payload.Length}\r\n"));
        Text(connection, headers);
        connection.Compose(payload);
        connection.Compose("\r\n"u8);
    }

    private static void Greet(PeerConnection connection, string inbox)
    {
        Text(connection, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"lang\":\"c#\",\"version\":\"0\",\"name\":\"bench\"}\r\n");
        Text(connection, $"SUB {inbox}.* 1\r\nPING\r\n");
        connection.Send();
        while (connection.Received.IndexOf("PONG\r\n"u8) is var at)
        {
            if (at >= 0)
            {
                connection.Consume(at + 6);
                return;
            }
            connection.Receive();
        }
    }

    /// <summary>The next acknowledgement; its subject ends in the record's number.</summary>
    private static bool TryTakeMessage(PeerConnection connection, out long id, out string? error)
    {
        (id, error) = (0, null);
        while (TryTakeLine(connection.Received, out var line, out int length))
        {
            if (!line.StartsWith("MSG "u8) && !line.StartsWith("HMSG "u8))
            {
                if (line.StartsWith("PING"u8))
                    connection.Compose("PONG\r\n"u8);
                if (line.StartsWith("-ERR"u8))
                    throw new IOException($"NATS: {Encoding.UTF8.GetString(line)}");
                connection.Consume(length);
                continue;
            }
            Utf8Parser.TryParse(line[(line.LastIndexOf((byte)' ') + 1)..], out int bytes, out _);
            if (connection.Received.Length < length + bytes + 2)
                return false;
            var subject = line[(line.IndexOf((byte)' ') + 1)..];
            subject = subject[..subject.IndexOf((byte)' ')];
            Utf8Parser.TryParse(subject[(subject.LastIndexOf((byte)'.') + 1)..], out id, out _);
            var body = connection.Received.Slice(length, bytes);
            if (line[0] == 'H' || body.IndexOf("\"error\""u8) >= 0)
                error = Encoding.UTF8.GetString(body);
            connection.Consume(length + bytes + 2);
            return true;
        }
        return false;
    }

    private JsonElement Api(string subject, string body)
    {
        for (int attempt = 0; ; attempt++)
        {
            using var connection = new PeerConnection(shape.Ports[0]);
            string inbox = $"_INBOX.api.{_run}.{Stopwatch.GetTimestamp():x}";
            Greet(connection, inbox);
            Text(connection, string.Create(CultureInfo.InvariantCulture, $"PUB {subject} {inbox}.0 {body.Length}\r\n{body}\r\n"));
            connection.Send();
            while (true)
            {
                if (TryTakeLine(connection.Received, out var line, out int length) && (line.StartsWith("MSG "u8) || line.StartsWith("HMSG "u8)))
                {
                    Utf8Parser.TryParse(line[(line.LastIndexOf((byte)' ') + 1)..], out int bytes, out _);
                    bool isAnswer = line[0] == 'M';     // with headers: nobody serves the API yet
                    while (connection.Received.Length < length + bytes)
                        connection.Receive();
                    if (isAnswer)
                        return JsonDocument.Parse(connection.Received.Slice(length, bytes).ToArray()).RootElement;
                    break;
                }
                if (length > 0)
                    connection.Consume(length);
                else
                    connection.Receive();
            }
            if (attempt == 40)
                throw new IOException($"NATS does not answer {subject}.");
            Thread.Sleep(250);
        }
    }

    /// <param name="length">With the end of the line; 0: there is no whole line.</param>
    private static bool TryTakeLine(ReadOnlySpan<byte> received, out ReadOnlySpan<byte> line, out int length)
    {
        int end = received.IndexOf("\r\n"u8);
        length = end < 0 ? 0 : end + 2;
        line = end < 0 ? default : received[..end];
        return end >= 0;
    }

    private static void Text(PeerConnection connection, string text) => Encoding.ASCII.GetBytes(text, connection.Compose(text.Length));
}
