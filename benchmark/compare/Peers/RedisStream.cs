using System.Buffers.Text;
using System.Diagnostics;
using System.Text;

namespace Semel.Peers;

/// <summary>
/// A Redis stream on a primary with replicas: a batch of <c>XADD</c>, then <c>WAIT</c> for all replicas. Ids are the server's: a repeated record would be there twice.
/// Verified by <c>XLEN</c>.
/// </summary>
internal sealed class RedisStream(LoadShape shape) : IPeer
{
    private readonly byte[] _key = Encoding.ASCII.GetBytes($"bench-{Environment.ProcessId}-{Stopwatch.GetTimestamp()}");
    private int Replicas => shape.Ports.Length - 1;

    public void Prepare()
    {
    }

    public void Append(int client, ClientCount count)
    {
        using var connection = new PeerConnection(shape.Ports[0]);
        var payload = new byte[shape.Size];
        var one = CommandOf("XADD"u8.ToArray(), _key, "*"u8.ToArray(), "d"u8.ToArray(), payload);
        var wait = CommandOf("WAIT"u8.ToArray(), Encoding.ASCII.GetBytes(Replicas.ToString(System.Globalization.CultureInfo.InvariantCulture)), "0"u8.ToArray());
        while (!count.IsOver)
        {
            long begin = Stopwatch.GetTimestamp();
            for (int i = 0; i < shape.Batch; i++)
                connection.Compose(one);
            connection.Compose(wait);
            connection.Send();
            for (int i = 0; i < shape.Batch; i++)
                TakeReply(connection);
            if (TakeReply(connection) < Replicas)
                count.Errors += shape.Batch;
            for (int i = 0; i < shape.Batch; i++)
                count.Acknowledge(begin);
        }
    }

    public string? Verify(ClientCount[] counts)
    {
        using var connection = new PeerConnection(shape.Ports[0]);
        connection.Compose(CommandOf("XLEN"u8.ToArray(), _key));
        connection.Compose(CommandOf("UNLINK"u8.ToArray(), _key));
        connection.Send();
        long stored = TakeReply(connection), acknowledged = counts.Sum(c => c.Acknowledged);
        TakeReply(connection);
        return stored == acknowledged ? null : $"{acknowledged} records were acknowledged, the stream held {stored}.";
    }

    private static byte[] CommandOf(params byte[][] parts)
    {
        using var bytes = new MemoryStream();
        bytes.Write(Encoding.ASCII.GetBytes($"*{parts.Length}\r\n"));
        foreach (var part in parts)
        {
            bytes.Write(Encoding.ASCII.GetBytes($"${part.Length}\r\n"));
            bytes.Write(part);
            bytes.Write("\r\n"u8);
        }
        return bytes.ToArray();
    }

    /// <summary>The number of an integer reply; 0 for a string.</summary>
    private static long TakeReply(PeerConnection connection)
    {
        while (true)
        {
            var received = connection.Received;
            int end = received.IndexOf("\r\n"u8);
            if (end >= 0)
            {
                if (received[0] == '-')
                    throw new IOException($"Redis: {Encoding.UTF8.GetString(received[..end])}");
                Utf8Parser.TryParse(received[1..], out long number, out _);
                int length = received[0] == '$' ? end + 2 + (int)number + 2 : end + 2;
                if (received.Length >= length)
                {
                    bool isInteger = received[0] == ':';
                    connection.Consume(length);
                    return isInteger ? number : 0;
                }
            }
            connection.Receive();
        }
    }
}
