using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Semel.Cli.Terminal;

/// <summary><c>host:port</c> and <c>unix:/path</c>.</summary>
internal static class Addresses
{
    public const string DefaultMaster = "127.0.0.1:7070";

    /// <param name="text">The address as given.</param>
    /// <param name="anyPort">Port 0 (any free one) is fine: for addresses to listen on.</param>
    /// <param name="fault">What is wrong, with the value and what to do.</param>
    public static bool TryValidate(string text, bool anyPort, [NotNullWhen(false)] out string? fault)
    {
        fault = null;
        if (text.StartsWith("unix:", StringComparison.Ordinal))
        {
            if (text.Length <= "unix:/".Length || text["unix:".Length] != '/')
                fault = $"'{text}' is not an address. A Unix socket needs an absolute path: unix:/run/semel/master.sock.";
            return fault is null;
        }
        if (!TrySplit(text, out string? host, out int port) || host.Length == 0 || host.Any(c => char.IsWhiteSpace(c) || c == '/'))
            fault = $"'{text}' is not an address. Write host:port, such as {DefaultMaster}.";
        else if (port > 65535 || (port == 0 && !anyPort))
            fault = $"Port {port} in '{text}' is out of range. Choose one from {(anyPort ? "0 (any free one)" : "1")} to 65535.";
        return fault is null;
    }

    /// <summary>Splits <c>host:port</c>; an IPv6 host stands in brackets. The port is any number of up to nine digits.</summary>
    public static bool TrySplit(string text, [NotNullWhen(true)] out string? host, out int port)
    {
        host = null;
        port = 0;
        int colon = text.LastIndexOf(':');
        if (colon < 0 || text.Length - colon > 10 || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port))
            return false;
        host = text[..colon];
        if (host.StartsWith('[') && host.EndsWith(']'))
            host = host[1..^1];
        else if (host.Contains(':', StringComparison.Ordinal))
            return false;
        return true;
    }
}
