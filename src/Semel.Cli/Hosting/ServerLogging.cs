using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Semel.Cli.Configuration;

namespace Semel.Cli.Hosting;

/// <summary>Log lines of servers: to standard error, UTC, one line per event.</summary>
internal static class ServerLogging
{
    public static ILoggerFactory Create(LogLevelChoice level, LogFormatChoice format) => LoggerFactory.Create(builder =>
    {
        builder.SetMinimumLevel((LogLevel)level);
        // What the HTTP server says about its own life is said by us already.
        builder.AddFilter("Microsoft", LogLevel.Warning);
        if (format is LogFormatChoice.Json)
        {
            builder.AddJsonConsole(console =>
            {
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
            });
        }
        else
        {
            builder.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.ColorBehavior = Console.IsErrorRedirected || Environment.GetEnvironmentVariable("NO_COLOR") is { Length: > 0 }
                    ? LoggerColorBehavior.Disabled
                    : LoggerColorBehavior.Default;
            });
        }
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
    });
}
