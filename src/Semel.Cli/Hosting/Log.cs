using Microsoft.Extensions.Logging;

namespace Semel.Cli.Hosting;

internal static partial class Log
{
    [LoggerMessage(6001, LogLevel.Warning, "This process may have {Limit} files open, so each server in it accepts {Connections} connections and keeps {DiskFiles} files of its disk open at a time; beyond "
        + "that connections are refused, and files are closed and opened again. Raise the limit before you start it: `ulimit -n 65536`, or LimitNOFILE=65536 in a unit of systemd")]
    public static partial void FewOpenFiles(this ILogger logger, int limit, int connections, int diskFiles);
}
