using System.Globalization;
using Semel.Cli.Terminal;

namespace Semel.Cli.Hosting;

/// <summary>
/// What a server may use of the files that its process may have open (<c>ulimit -n</c>), where each connection counts as one. The runtime needs some, and ends a process
/// that finds none left; of the others half are for the server's disk, a quarter for those who connect to it, an eighth for HTTP, and the rest for whom it connects to.
/// </summary>
/// <param name="DiskFiles">The disk keeps so many files open.</param>
/// <param name="Connections">The server accepts so many connections.</param>
/// <param name="HttpConnections">HTTP does.</param>
internal readonly record struct OpenFileShare(int DiskFiles, int Connections, int HttpConnections)
{
    private const int Runtime = 128;
    private const int LeastForServer = 64;

    /// <summary>Each open file costs the kernel about a kilobyte, however many it would allow.</summary>
    private const int MostDiskFiles = 64 << 10;

    private const int MostConnections = 4096;
    private const int MostHttpConnections = 256;

    private const int Unknown = 4096;

    /// <summary>The limit keeps connections away that would be accepted otherwise.</summary>
    public bool IsTight => Connections < MostConnections;

    /// <param name="limit">Files that the process may have open.</param>
    /// <param name="servers">Servers in the process, 1 or more.</param>
    /// <exception cref="CommandException">It may have too few.</exception>
    public static OpenFileShare Of(int limit, int servers)
    {
        int each = (limit - Runtime) / servers;
        if (each < LeastForServer)
        {
            throw new CommandException(ExitCode.Failed,
                $"This process may have {limit} files open; with {(servers == 1 ? "a server" : $"{servers} servers")} in it, it needs {Runtime + (LeastForServer * servers)} at least. "
                + "Raise the limit before you start it: `ulimit -n 65536`, or LimitNOFILE=65536 in a unit of systemd.");
        }
        return new OpenFileShare(Math.Min(each / 2, MostDiskFiles), Math.Min(each / 4, MostConnections), Math.Min(each / 8, MostHttpConnections));
    }

    /// <summary>The limit of this process. At its start the runtime has raised it as far as it may. Where nobody says, 4,096.</summary>
    public static int LimitOfThisProcess()
    {
        try
        {
            return OperatingSystem.IsLinux() ? ParseLimit(File.ReadLines("/proc/self/limits")) : Unknown;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Unknown;
        }
    }

    internal static int ParseLimit(IEnumerable<string> lines)
    {
        const string Key = "Max open files";
        string? soft = lines.FirstOrDefault(l => l.StartsWith(Key, StringComparison.Ordinal))?[Key.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        if (soft == "unlimited")
            return int.MaxValue;
        return long.TryParse(soft, CultureInfo.InvariantCulture, out long limit) ? (int)Math.Min(limit, int.MaxValue) : Unknown;
    }
}
