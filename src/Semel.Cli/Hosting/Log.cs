using Microsoft.Extensions.Logging;

namespace Semel.Cli.Hosting;

internal static partial class Log
{
    [LoggerMessage(6001, LogLevel.Warning, "This process may have {Limit} files open, so each server in it accepts {Connections} connections and keeps {DiskFiles} files of its disk open at a time; beyond "
        + "that connections are refused, and files are closed and opened again. Raise the limit before you start it: `ulimit -n 65536`, or LimitNOFILE=65536 in a unit of systemd")]
    public static partial void FewOpenFiles(this ILogger logger, int limit, int connections, int diskFiles);

    [LoggerMessage(6002, LogLevel.Critical, "The {Role} failed: {Reason} The process ends with exit code 1; start it again when the cause is gone")]
    public static partial void CoreFailed(this ILogger logger, string role, string reason);

    [LoggerMessage(6003, LogLevel.Error, "What the failed role left behind was not closed within {Seconds} s. The process ends without")]
    public static partial void NotClosed(this ILogger logger, double seconds);
}
