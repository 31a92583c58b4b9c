using Microsoft.Extensions.Logging;

namespace Semel.Cli.Configuration;

/// <summary>From which severity on events are logged. The values are those of <see cref="LogLevel"/>.</summary>
internal enum LogLevelChoice
{
    Trace = LogLevel.Trace,
    Debug = LogLevel.Debug,
    Info = LogLevel.Information,
    Warning = LogLevel.Warning,
    Error = LogLevel.Error,
    None = LogLevel.None,
}

/// <summary>How events are logged.</summary>
internal enum LogFormatChoice
{
    Text,
    Json,
}

/// <summary>What every server process can be told besides its role's own options.</summary>
internal abstract class ProcessSettings
{
    /// <summary>The address for HTTP that is no address: no HTTP.</summary>
    public const string NoHttp = "none";

    public string Data { get; set; } = "";
    public string Http { get; set; } = NoHttp;
    public LogLevelChoice LogLevel { get; set; } = LogLevelChoice.Info;
    public LogFormatChoice LogFormat { get; set; } = LogFormatChoice.Text;

    public bool HasHttp => Http != NoHttp;
}
