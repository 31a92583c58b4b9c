using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Semel.Transport.Connections;

/// <summary>An address that people write: <c>host:port</c>, <c>[v6]:port</c> or <c>unix:/path</c>.</summary>
internal readonly record struct WireAddress
{
    private const string UnixScheme = "unix:";

    /// <summary>A host's name or number; empty for a Unix socket.</summary>
    public string Host { get; private init; }

    public int Port { get; private init; }

    /// <summary>The socket's file; null for TCP.</summary>
    public string? Path { get; private init; }

    public static bool TryParse(string text, out WireAddress address, [NotNullWhen(false)] out string? fault)
    {
        address = default;
        fault = $"'{Printable.Of(text)}' is not an address; write host:port (port 0..65535), [v6]:port or unix:/path";
        if (text.StartsWith(UnixScheme, StringComparison.Ordinal))
        {
            string path = text[UnixScheme.Length..];
            if (path.Length == 0 || path.Contains('\0'))
                return false;
            address = new WireAddress { Host = "", Path = path };
            fault = null;
            return true;
        }
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
            return false;
        string host = text[..colon];
        if (host.StartsWith('[') && host.EndsWith(']'))
            host = host[1..^1];
        else if (host.Contains(':'))
            return false;
        if (host.Length is 0 or > 255 || host.AsSpan().ContainsAny(" \t\r\n\0/"))
            return false;
        address = new WireAddress { Host = host, Port = port };
        fault = null;
        return true;
    }

    /// <summary>The same with the port that was really taken.</summary>
    public string TextWithPort(int port) =>
        Path is not null ? UnixScheme + Path : Host.Contains(':') ? $"[{Host}]:{port}" : $"{Host}:{port}";

    /// <summary>Where to connect to; a name is looked up by connecting.</summary>
    public EndPoint ToDial()
    {
        if (Path is not null)
            return new UnixDomainSocketEndPoint(Path);
        return NumericHost() is { } ip ? new IPEndPoint(ip, Port) : new DnsEndPoint(Host, Port);
    }

    /// <summary>Where to listen. Looks a name up, which may take a while.</summary>
    public EndPoint ToListen()
    {
        if (Path is not null)
            return new UnixDomainSocketEndPoint(Path);
        return new IPEndPoint(NumericHost() ?? Dns.GetHostAddresses(Host)[0], Port);
    }

    public static Socket NewSocket(EndPoint endPoint)
    {
        if (endPoint is UnixDomainSocketEndPoint)
            return new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        var socket = endPoint is IPEndPoint
            ? new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp)
            : new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.NoDelay = true;
        return socket;
    }

    private IPAddress? NumericHost() => Host switch
    {
        "localhost" => IPAddress.Loopback,
        "*" => IPAddress.Any,
        _ => IPAddress.TryParse(Host, out var ip) ? ip : null,
    };
}
