using System.Net;
using System.Net.Sockets;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>No connection came about, for a reason of the world's.</summary>
internal sealed class DialFailedException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>Makes one connection and greets the peer.</summary>
internal static class Dialer
{
    /// <returns>A greeted connection, or why one of the two sides does not want it.</returns>
    /// <exception cref="DialFailedException">Nobody answered as a peer would.</exception>
    /// <exception cref="OperationCanceledException">The wire is being disposed.</exception>
    public static async Task<(Socket? Socket, string? Refusal)> ConnectAsync(string text, SocketWire wire)
    {
        if (!WireAddress.TryParse(text, out var address, out string? fault))
            throw new DialFailedException(fault);
        using var timeout = new CancellationTokenSource(wire.Options.HelloTimeout, wire.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, wire.Stopping);
        Socket? socket = null;
        try
        {
            var endPoint = address.ToDial();
            socket = WireAddress.NewSocket(endPoint);
            await socket.ConnectAsync(endPoint, either.Token);
            if (socket.LocalEndPoint is IPEndPoint local && local.Equals(socket.RemoteEndPoint))
                throw new DialFailedException("nobody listens there");   // the kernel has connected the socket with itself

            var ours = Handshake.About(wire.Options);
            await Handshake.SendAsync(socket, WireFrameType.Hello, ours, either.Token);
            var (theirs, wrong) = await Handshake.ReceiveAsync(socket, WireFrameType.Welcome, either.Token);
            if (theirs is null)
                throw new DialFailedException(wrong!);
            string? refusal = theirs.Refusal.Length > 0 ? $"{text} refused the connection: {Printable.Of(theirs.Refusal)}" : Handshake.Judge(ours, theirs);
            if (refusal is not null)
            {
                wire.Logger.PeerRefused(text, refusal);
                return (null, refusal);
            }
            wire.Logger.Connected(text, Printable.Of(theirs.Role), Printable.Of(theirs.Software));
            var connected = socket;
            socket = null;
            return (connected, null);
        }
        catch (OperationCanceledException) when (!wire.Stopping.IsCancellationRequested)
        {
            throw new DialFailedException($"no answer within {wire.Options.HelloTimeout.TotalSeconds:0.###} s");
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            throw new DialFailedException(e.Message, e);
        }
        finally
        {
            socket?.Dispose();
        }
    }
}
