using System.CommandLine;
using Semel.Cli.Configuration;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Servers;

/// <summary>The options of a role's verb: a configuration file, and flags on top of it.</summary>
internal sealed class RoleOptions<TRole> where TRole : ProcessSettings, new()
{
    public const string FileVariable = "SEMEL_CONFIG";

    private readonly RoleSchema<TRole> _schema;
    private readonly Option<string?> _config = new("--config", "-c") { Description = $"YAML file. Default: ${FileVariable}, else only defaults.", HelpName = "FILE" };
    private readonly Option<string?> _bind = new("--bind") { Description = "Where to take calls; port 0: any free one.", HelpName = "HOST:PORT" };
    private readonly Option<string?> _http = new("--http") { Description = "Where to serve health, metrics and status, or 'none'.", HelpName = "HOST:PORT" };
    private readonly Option<string?> _data = new("--data") { Description = "Data directory.", HelpName = "DIR" };
    private readonly Option<string[]> _set = new("--set") { Description = "Any key of the configuration; may be repeated.", HelpName = "KEY=VALUE", Arity = ArgumentArity.ZeroOrMore };

    public RoleOptions(Command command, RoleSchema<TRole> schema)
    {
        _schema = schema;
        command.Options.Add(_config);
        command.Options.Add(_bind);
        command.Options.Add(_http);
        command.Options.Add(_data);
        command.Options.Add(_set);
    }

    /// <summary>Defaults, the file, the environment, the flags.</summary>
    /// <exception cref="CommandException">Names each fault.</exception>
    public TRole Load(CommandContext context)
    {
        string? file = context.Get(_config) ?? (Environment.GetEnvironmentVariable(FileVariable) is { Length: > 0 } named ? named : null);
        return _schema.Load(file, Environment.GetEnvironmentVariable, Flags(context));
    }

    private IEnumerable<(string Key, string Value, string Flag)> Flags(CommandContext context)
    {
        foreach (string pair in context.Get(_set) ?? [])
        {
            int at = pair.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0)
                throw CommandException.Usage($"--set: '{pair}' is not KEY=VALUE.");
            yield return (pair[..at].Trim(), pair[(at + 1)..].Trim(), "--set");
        }
        if (context.Get(_bind) is { } bind)
            yield return ("bind", bind, "--bind");
        if (context.Get(_http) is { } http)
            yield return ("http", http, "--http");
        if (context.Get(_data) is { } data)
            yield return ("data", data, "--data");
        if (_schema.Settings.Any(s => s.Name == "master") && context.Get(GlobalOptions.Master) is { } master)
            yield return ("master", master, "--master");
    }
}
