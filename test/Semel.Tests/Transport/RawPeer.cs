using System.Net.Sockets;
using Google.Protobuf;
using Semel.Protocol.Messages;
using Semel.Transport;
using Semel.Transport.Connections;
using Semel.Transport.Framing;

namespace Semel.Tests.Transport;

/// <summary>A socket that speaks the protocol by hand, or does not.</summary>
internal sealed class RawPeer(Socket socket) : IDisposable
{
    private readonly ReceiveBuffer _received = new(new WireLimits(4 << 20, 20 << 20));

    public Socket Socket { get; } = socket;

    public static async Task<RawPeer> ConnectAsync(string address)
    {
        Assert.True(WireAddress.TryParse(address, out var parsed, out _));
        var endPoint = parsed.ToDial();
        var socket = WireAddress.NewSocket(endPoint);
        await socket.ConnectAsync(endPoint);
        return new RawPeer(socket);
    }

    /// <summary>Greets as a client would.</summary>
    public async Task<Hello> GreetAsync(Action<Hello>? change = null)
    {
        var hello = Handshake.About(new SocketWireOptions { Role = "client" });
        change?.Invoke(hello);
        await Handshake.SendAsync(Socket, WireFrameType.Hello, hello, default);
        var (welcome, fault) = await Handshake.ReceiveAsync(Socket, WireFrameType.Welcome, default).WaitAsync(Wires.Long);
        Assert.Null(fault);
        return welcome!;
    }

    public Task SendAsync(ReadOnlyMemory<byte> bytes) => Socket.SendAsync(bytes).AsTask().WaitAsync(Wires.Long);

    /// <summary>The next frame, whole and with the right checksums.</summary>
    public async Task<WireFramePrefix> ReadFrameAsync()
    {
        while (true)
        {
            if (TryCut(out var prefix))
                return prefix;
            int bytes = await Socket.ReceiveAsync(_received.Room()).AsTask().WaitAsync(Wires.Long);
            Assert.NotEqual(0, bytes);
            _received.Received(bytes);
        }
    }

    /// <summary>Reads until the peer closes the connection.</summary>
    public async Task<byte[]> ReadToEndAsync()
    {
        using var all = new MemoryStream();
        byte[] buffer = new byte[64 << 10];
        try
        {
            while (await Socket.ReceiveAsync(buffer).WaitAsync(Wires.Long) is > 0 and var bytes)
                all.Write(buffer, 0, bytes);
        }
        catch (SocketException)
        {
            // Reset: closed as well.
        }
        return all.ToArray();
    }

    /// <summary>A whole frame as bytes.</summary>
    public static byte[] Frame(WireFrameType type, MessageKind kind = 0, ulong callId = 0, IMessage? header = null, byte[]? payload = null, uint timeLeftMs = 0)
    {
        byte[] head = header?.ToByteArray() ?? [];
        return Frame(new WireFramePrefix { Type = type, Kind = kind, CallId = callId, TimeLeftMs = timeLeftMs, PayloadCovered = true }, head, payload ?? []);
    }

    public static byte[] Frame(WireFramePrefix prefix, byte[] header, byte[] payload)
    {
        byte[] bytes = [.. new byte[WireFramePrefix.Size], .. header, .. payload];
        (prefix with
        {
            HeaderLength = header.Length,
            PayloadLength = payload.Length,
            BodyCrc = WireFramePrefix.CrcOfBody(Semel.Protocol.Checksums.Crc32C.Compute(payload), header),
        }).Write(bytes);
        return bytes;
    }

    public void Dispose() => Socket.Dispose();

    private bool TryCut(out WireFramePrefix prefix)
    {
        bool whole = _received.HasFrame(out prefix, out string? fault);
        Assert.Null(fault);
        if (!whole)
            return false;
        Assert.True(_received.TryCut(out _, out var payload, out _));
        payload.Release();
        return true;
    }
}
