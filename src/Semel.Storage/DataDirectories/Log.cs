using Microsoft.Extensions.Logging;

namespace Semel.Storage.DataDirectories;

internal static partial class Log
{
    [LoggerMessage(5201, LogLevel.Information, "Created the data directory {Directory} of a {Role}")]
    public static partial void DataDirectoryCreated(this ILogger logger, string directory, string role);

    [LoggerMessage(5202, LogLevel.Information, "The data directory {Directory} belongs to the cluster {Cluster} and the server {Server} from now on")]
    public static partial void DataDirectoryBound(this ILogger logger, string directory, string cluster, string server);
}
