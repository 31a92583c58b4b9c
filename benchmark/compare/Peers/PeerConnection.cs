using System.Net;
using System.Net.Sockets;

namespace Semel.Peers;

/// <summary>
/// A blocking connection with a buffer each way: what is composed leaves with one call, and a receive takes all that is there. One thread.
/// </summary>
internal sealed class PeerConnection : IDisposable
{
    private const int FirstCapacity = 1 << 20;

    private readonly Socket _socket;
    private byte[] _out = new byte[FirstCapacity];
    private byte[] _in = new byte[FirstCapacity];
    private int _inStart;
    private int _inEnd;

    public PeerConnection(int port)
    {
        _socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        _socket.Connect(new IPEndPoint(IPAddress.Loopback, port));
    }

    /// <summary>Composed and not sent.</summary>
    public int Pending { get; private set; }

    /// <summary>Received and not consumed.</summary>
    public ReadOnlySpan<byte> Received => _in.AsSpan(_inStart, _inEnd - _inStart);

    /// <summary>Room for so many bytes more; they count as composed.</summary>
    public Span<byte> Compose(int bytes)
    {
        if (_out.Length - Pending < bytes)
            Array.Resize(ref _out, Math.Max(_out.Length * 2, Pending + bytes));
        var room = _out.AsSpan(Pending, bytes);
        Pending += bytes;
        return room;
    }

    public void Compose(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Compose(bytes.Length));

    /// <summary>What was composed so far, to be changed once more before it leaves.</summary>
    public Span<byte> Composed => _out.AsSpan(0, Pending);

    public void Send()
    {
        for (int sent = 0; sent < Pending;)
            sent += _socket.Send(_out.AsSpan(sent, Pending - sent));
        Pending = 0;
    }

    /// <summary>Waits for at least one byte more.</summary>
    /// <exception cref="IOException">The peer has closed the connection, or is silent.</exception>
    public void Receive()
    {
        if (_inStart == _inEnd)
            _inStart = _inEnd = 0;
        if (_in.Length - _inEnd < _in.Length / 4)
        {
            Received.CopyTo(_in);
            (_inStart, _inEnd) = (0, _inEnd - _inStart);
            if (_in.Length - _inEnd < _in.Length / 4)
                Array.Resize(ref _in, _in.Length * 2);
        }
        int count;
        try
        {
            count = _socket.Receive(_in.AsSpan(_inEnd));
        }
        catch (SocketException e)
        {
            throw new IOException($"No answer within 20 s: {e.Message}", e);
        }
        if (count == 0)
            throw new IOException("The peer closed the connection.");
        _inEnd += count;
    }

    public void Consume(int bytes) => _inStart += bytes;

    public void Dispose() => _socket.Dispose();
}
