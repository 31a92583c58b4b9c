using System.Net.Sockets;
using System.Reflection;
using Google.Protobuf;
using Semel.Protocol.Messages;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>
/// The first two frames of a connection. The dialing side says HELLO, the accepting side answers WELCOME, with a reason when
/// it refuses; after that only it closes. Both say their protocol version, cluster, role and software.
/// </summary>
internal static class Handshake
{
    public const uint ProtocolVersion = 1;

    /// <summary>What a stranger may make us allocate.</summary>
    private static readonly WireLimits Limits = new(MaxHeaderBytes: 4096, MaxPayloadBytes: 0);

    private static readonly string Software =
        typeof(Handshake).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion is { } version
            ? $"semel {version}"
            : "semel";

    public static Hello About(SocketWireOptions options, string refusal = "") => new()
    {
        ProtocolVersion = ProtocolVersion,
        ClusterId = options.ClusterId() ?? "",
        Role = options.Role,
        Software = Software,
        Refusal = refusal,
    };

    /// <summary>Why <paramref name="theirs"/> and we do not belong together; null when we do.</summary>
    public static string? Judge(Hello ours, Hello theirs)
    {
        if (theirs.ProtocolVersion != ours.ProtocolVersion)
        {
            return $"the {ours.Role} ({ours.Software}) speaks version {ours.ProtocolVersion} of the protocol, "
                + $"the {Printable.Of(theirs.Role)} ({Printable.Of(theirs.Software)}) version {theirs.ProtocolVersion}";
        }
        if (ours.ClusterId.Length > 0 && theirs.ClusterId.Length > 0 && ours.ClusterId != theirs.ClusterId)
        {
            return $"the {ours.Role} belongs to cluster {ours.ClusterId}, "
                + $"the {Printable.Of(theirs.Role)} to cluster {Printable.Of(theirs.ClusterId)}";
        }
        return null;
    }

    public static async Task SendAsync(Socket socket, WireFrameType type, Hello hello, CancellationToken cancellation)
    {
        byte[] header = hello.ToByteArray();
        byte[] frame = new byte[WireFramePrefix.Size + header.Length];
        header.CopyTo(frame, WireFramePrefix.Size);
        new WireFramePrefix { Type = type, HeaderLength = header.Length, BodyCrc = WireFramePrefix.CrcOfBody(0, header) }.Write(frame);
        for (int sent = 0; sent < frame.Length;)
            sent += await socket.SendAsync(frame.AsMemory(sent), SocketFlags.None, cancellation);
    }

    /// <summary>Receives the peer's greeting, and not a byte of what follows it.</summary>
    /// <returns>The greeting, or why there is none.</returns>
    public static async Task<(Hello? Hello, string? Fault)> ReceiveAsync(Socket socket, WireFrameType type, CancellationToken cancellation)
    {
        byte[] bytes = new byte[WireFramePrefix.Size];
        if (!await FillAsync(socket, bytes, cancellation))
            return (null, "the peer closed the connection before it said hello");
        if (!WireFramePrefix.TryRead(bytes, Limits, out var prefix, out string? fault))
            return (null, fault);
        if (prefix.Type != type)
            return (null, $"the peer began with a {prefix.Type} frame instead of {type}");
        byte[] header = new byte[prefix.HeaderLength];
        if (!await FillAsync(socket, header, cancellation))
            return (null, "the peer closed the connection before it said hello");
        fault = prefix.CheckBody(header, default, out _);
        if (fault is not null)
            return (null, fault);
        try
        {
            return (Hello.Parser.ParseFrom(header), null);
        }
        catch (InvalidProtocolBufferException e)
        {
            return (null, $"the peer's hello cannot be read: {e.Message}");
        }
    }

    private static async Task<bool> FillAsync(Socket socket, Memory<byte> target, CancellationToken cancellation)
    {
        while (target.Length > 0)
        {
            int bytes = await socket.ReceiveAsync(target, SocketFlags.None, cancellation);
            if (bytes == 0)
                return false;
            target = target[bytes..];
        }
        return true;
    }
}
