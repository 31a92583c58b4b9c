using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Semel.Protocol.Checksums;
using Semel.Protocol.Identity;

namespace Semel.Storage.DataDirectories;

/// <summary>Whose data a directory holds.</summary>
public enum ServerRole
{
    Master = 1,
    ChunkServer = 2,
}

/// <summary>
/// What the file <c>identity</c> says. It is text, for people too; lines end with a line feed and stand in this order:
/// <code>
/// semel data directory
/// format: 1
/// role: chunkserver              or master
/// cluster: 5f1c22d0a7b34e19      no such line until it is known
/// server: 00c0ffee00c0ffee       a chunk server's id, 16 hexadecimal digits; no such line until it is known
/// crc32c: 1a2b3c4d               over every byte before this line
/// </code>
/// </summary>
internal sealed record DataDirectoryIdentity(ServerRole Role, string? ClusterId, ServerId? ServerId)
{
    public const int FormatVersion = 1;
    public const int MaxBytes = 1024;

    private const string Title = "semel data directory\n";

    /// <summary>The word for a role in the file and in messages.</summary>
    public static string WordOf(ServerRole role) => role == ServerRole.Master ? "master" : "chunkserver";

    private static ServerRole? RoleOf(string? word) => word switch
    {
        "master" => ServerRole.Master,
        "chunkserver" => ServerRole.ChunkServer,
        _ => null,
    };

    /// <summary>1 to 64 visible ASCII characters.</summary>
    public static bool IsClusterId(string text) => text.Length is >= 1 and <= 64 && text.All(c => c is > ' ' and < '\x7f');

    public byte[] ToBytes()
    {
        var text = new StringBuilder(Title);
        text.Append(CultureInfo.InvariantCulture, $"format: {FormatVersion}\nrole: {WordOf(Role)}\n");
        if (ClusterId is not null)
            text.Append(CultureInfo.InvariantCulture, $"cluster: {ClusterId}\n");
        if (ServerId is { } server)
            text.Append(CultureInfo.InvariantCulture, $"server: {server}\n");
        uint crc = Crc32C.Compute(Encoding.ASCII.GetBytes(text.ToString()));
        text.Append(CultureInfo.InvariantCulture, $"crc32c: {crc:x8}\n");
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <summary>Reads and checks the file. The fault is a clause that says what is wrong with it.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out DataDirectoryIdentity? identity, [NotNullWhen(false)] out string? fault)
    {
        identity = null;
        string text = Encoding.Latin1.GetString(bytes);
        if (!text.StartsWith(Title, StringComparison.Ordinal))
        {
            fault = "does not begin as one of Semel";
            return false;
        }
        var lines = new LineReader(text[Title.Length..]);
        if (lines.Take("format") is not { } format || !int.TryParse(format, NumberStyles.None, CultureInfo.InvariantCulture, out int version))
        {
            fault = "does not say its format";
            return false;
        }
        if (version != FormatVersion)
        {
            fault = $"has format {version}, and this program knows format {FormatVersion}: it was written by a newer version of Semel; start that one";
            return false;
        }
        string? role = lines.Take("role");
        string? cluster = lines.Take("cluster");
        string? server = lines.Take("server");
        string before = lines.Taken;
        uint crc = Crc32C.Compute(Encoding.Latin1.GetBytes(Title + before));
        if (lines.Take("crc32c") != crc.ToString("x8", CultureInfo.InvariantCulture) || !lines.AtEnd)
        {
            fault = "is damaged: its checksum does not match; put back a copy of it";
            return false;
        }
        ulong serverValue = 0;
        if (RoleOf(role) is not { } knownRole
            || (cluster is not null && !IsClusterId(cluster))
            || (server is not null && !ulong.TryParse(server, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out serverValue)))
        {
            fault = $"has a value that this program does not know (role '{role}', cluster '{cluster}', server '{server}'); put back a copy of it";
            return false;
        }
        identity = new DataDirectoryIdentity(knownRole, cluster, server is null ? null : new ServerId(serverValue));
        fault = null;
        return true;
    }

    /// <summary>Takes <c>name: value</c> lines off the front of a text.</summary>
    private sealed class LineReader(string text)
    {
        private int _at;

        public string Taken => text[.._at];
        public bool AtEnd => _at == text.Length;

        /// <summary>The value, or null when the next line has another name.</summary>
        public string? Take(string name)
        {
            int end = text.IndexOf('\n', _at);
            string prefix = name + ": ";
            if (end < 0 || !text.AsSpan(_at, end - _at).StartsWith(prefix, StringComparison.Ordinal))
                return null;
            string value = text[(_at + prefix.Length)..end];
            _at = end + 1;
            return value;
        }
    }
}
