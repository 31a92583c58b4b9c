using System.CommandLine;
using Semel.Cli.Commands.Servers;
using Semel.Cli.Configuration;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Tool;

/// <summary><c>semel config check|show|example ROLE</c></summary>
internal static class ConfigCommand
{
    public static Command Create(VerbRunner run)
    {
        var command = new Command("config", "Check, show or begin a server's configuration.");
        command.Subcommands.Add(PerRole("check", "Check a configuration as the server would, without starting it.", run, new CheckVerb()));
        command.Subcommands.Add(PerRole("show", "Print the effective configuration: defaults, file, environment, flags.", run, new ShowVerb()));
        command.Subcommands.Add(PerRole("example", "Print a configuration file with every key, its meaning and its default.", run, new ExampleVerb()));
        return command;
    }

    private static Command PerRole(string name, string description, VerbRunner run, IRoleVerb verb)
    {
        var command = new Command(name, description);
        command.Subcommands.Add(ForRole(MasterSettings.Schema, description, run, verb));
        command.Subcommands.Add(ForRole(ChunkServerSettings.Schema, description, run, verb));
        return command;
    }

    private static Command ForRole<TRole>(RoleSchema<TRole> schema, string description, VerbRunner run, IRoleVerb verb) where TRole : ProcessSettings, new()
    {
        var command = new Command(schema.Role, description);
        var options = new RoleOptions<TRole>(command, schema);
        return run.Runs(command, context =>
        {
            context.Streams.WriteLine(verb.Say(schema, options, context).TrimEnd('\n'));
            return Task.CompletedTask;
        });
    }

    /// <summary>What is said about a role.</summary>
    private interface IRoleVerb
    {
        string Say<TRole>(RoleSchema<TRole> schema, RoleOptions<TRole> options, CommandContext context) where TRole : ProcessSettings, new();
    }

    private sealed class CheckVerb : IRoleVerb
    {
        public string Say<TRole>(RoleSchema<TRole> schema, RoleOptions<TRole> options, CommandContext context) where TRole : ProcessSettings, new()
        {
            _ = options.Load(context);
            return "ok";
        }
    }

    private sealed class ShowVerb : IRoleVerb
    {
        public string Say<TRole>(RoleSchema<TRole> schema, RoleOptions<TRole> options, CommandContext context) where TRole : ProcessSettings, new() =>
            schema.Show(options.Load(context));
    }

    private sealed class ExampleVerb : IRoleVerb
    {
        public string Say<TRole>(RoleSchema<TRole> schema, RoleOptions<TRole> options, CommandContext context) where TRole : ProcessSettings, new() =>
            schema.Example();
    }
}
