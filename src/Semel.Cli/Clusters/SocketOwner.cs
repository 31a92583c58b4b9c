using System.Globalization;

namespace Semel.Cli.Clusters;

/// <summary>Which of some processes has a TCP connection, from <c>/proc</c>.</summary>
internal static class SocketOwner
{
    /// <summary>The process among <paramref name="processes"/> that holds the connection between two ports of this machine; null: none of them.</summary>
    /// <param name="localPort">The end that is asked for.</param>
    /// <param name="remotePort">The other end.</param>
    public static int? Find(int localPort, int remotePort, IEnumerable<int> processes)
    {
        string? inode = InodeOf("/proc/net/tcp", localPort, remotePort) ?? InodeOf("/proc/net/tcp6", localPort, remotePort);
        if (inode is null)
            return null;
        string link = $"socket:[{inode}]";
        foreach (int process in processes)
        {
            if (Holds(process, link))
                return process;
        }
        return null;
    }

    // 0: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000  0  INODE ...
    private static string? InodeOf(string table, int localPort, int remotePort)
    {
        if (!File.Exists(table))
            return null;
        string local = string.Create(CultureInfo.InvariantCulture, $":{localPort:X4}");
        string remote = string.Create(CultureInfo.InvariantCulture, $":{remotePort:X4}");
        foreach (string line in File.ReadLines(table))
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length > 9 && fields[1].EndsWith(local, StringComparison.Ordinal) && fields[2].EndsWith(remote, StringComparison.Ordinal))
                return fields[9];
        }
        return null;
    }

    private static bool Holds(int process, string link)
    {
        try
        {
            return Directory.EnumerateFiles(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fd")).Any(f => new FileInfo(f).LinkTarget == link);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;   // it has ended meanwhile
        }
    }
}
