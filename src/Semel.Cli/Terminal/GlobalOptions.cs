using System.CommandLine;

namespace Semel.Cli.Terminal;

/// <summary>Options that every verb takes.</summary>
internal static class GlobalOptions
{
    public const string MasterVariable = "SEMEL_MASTER";

    public static readonly Option<string?> Master = new("--master")
    {
        Description = $"The master's address. Default: ${MasterVariable}, else {Addresses.DefaultMaster}.",
        HelpName = "HOST:PORT",
        Recursive = true,
    };

    public static readonly Option<bool> Json = new("--json")
    {
        Description = "Print JSON for programs, one object per line.",
        Recursive = true,
    };

    public static readonly Option<TimeSpan?> Timeout = Parsing.Duration(new Option<TimeSpan?>("--timeout")
    {
        Description = "How long to try before giving up: 500ms, 30s, 2m. Default 30s.",
        HelpName = "DURATION",
        Recursive = true,
    });

    public static string MasterAddress(ParseResult parsed)
    {
        string? given = parsed.GetValue(Master);
        string address = given ?? (Environment.GetEnvironmentVariable(MasterVariable) is { Length: > 0 } value ? value : Addresses.DefaultMaster);
        if (!Addresses.TryValidate(address, anyPort: false, out string? fault))
            throw CommandException.Usage($"{(given is null ? MasterVariable : "--master")}: {fault}");
        return address;
    }
}
