using System.Net;
using System.Net.Sockets;

namespace Semel.Cli.Commands.Bench.Machine;

/// <summary>How fast two threads of this process speak to each other over TCP on 127.0.0.1, with blocking calls: less than any two processes need.</summary>
internal static class LoopbackProbe
{
    private const int MessageBytes = 100;
    private const int PieceBytes = 256 * 1024;
    private static readonly TimeSpan Each = TimeSpan.FromMilliseconds(500);

    /// <summary>The median round trip in microseconds, and 10^6 bytes per second one way.</summary>
    public static async Task<(double RoundTripUs, double MbPerS)> MeasureAsync(TimeProvider time, CancellationToken cancellation)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        using var near = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await near.ConnectAsync(listener.LocalEndPoint!, cancellation);
        using var far = await listener.AcceptAsync(cancellation);
        far.NoDelay = true;

        long received = 0;
        var peer = new Thread(() => Serve(far, ref received)) { IsBackground = true, Name = "loopback peer" };
        peer.Start();
        var roundTrips = new LatencyHistogram();
        var message = new byte[MessageBytes];
        long begin = time.GetTimestamp();
        while (time.GetElapsedTime(begin) < Each)
        {
            long turn = time.GetTimestamp();
            near.Send(message);
            ReceiveAll(near, message);
            roundTrips.Add(time.GetElapsedTime(turn).Ticks);
        }

        var piece = new byte[PieceBytes];
        message[0] = 1;     // from now on only count
        near.Send(message);
        begin = time.GetTimestamp();
        while (time.GetElapsedTime(begin) < Each)
            near.Send(piece);
        near.Shutdown(SocketShutdown.Send);
        peer.Join();
        return (roundTrips.MicrosecondsAt(0.5), received / time.GetElapsedTime(begin).TotalSeconds / 1e6);
    }

    private static void Serve(Socket socket, ref long received)
    {
        var message = new byte[MessageBytes];
        do
        {
            ReceiveAll(socket, message);
            if (message[0] == 0)
                socket.Send(message);
        }
        while (message[0] == 0);
        var piece = new byte[PieceBytes];
        while (socket.Receive(piece) is var count and > 0)
            received += count;
    }

    private static void ReceiveAll(Socket socket, Span<byte> target)
    {
        while (target.Length > 0)
        {
            int count = socket.Receive(target);
            if (count == 0)
                throw new IOException("The loopback connection ended.");
            target = target[count..];
        }
    }
}
