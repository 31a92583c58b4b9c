using System.CommandLine;
using Semel.Cli.Commands.Bench;
using Semel.Cli.Commands.Chunks;
using Semel.Cli.Commands.Cluster;
using Semel.Cli.Commands.Demo;
using Semel.Cli.Commands.Files;
using Semel.Cli.Commands.Log;
using Semel.Cli.Commands.Records;
using Semel.Cli.Commands.Servers;
using Semel.Cli.Commands.Tool;
using Semel.Cli.Commands.Torture;
using Semel.Cli.Commands.Verify;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands;

/// <summary>All verbs, in the order of <c>--help</c>.</summary>
internal static class Verbs
{
    public static RootCommand Root(VerbRunner run)
    {
        var root = new RootCommand("Semel: files that many writers append to, each record exactly once.");
        root.Options.Add(GlobalOptions.Master);
        root.Options.Add(GlobalOptions.Json);
        root.Options.Add(GlobalOptions.Timeout);
        root.Subcommands.Add(DemoCommand.Create(run));
        root.Subcommands.Add(UpCommand.Create(run));
        root.Subcommands.Add(AppendCommand.Create(run));
        root.Subcommands.Add(CatCommand.Create(run));
        root.Subcommands.Add(TailCommand.Create(run));
        root.Subcommands.Add(RecordsCommand.Create(run));
        root.Subcommands.Add(OpCommand.Create(run));
        root.Subcommands.Add(LsCommand.Create(run));
        root.Subcommands.Add(MkdirCommand.Create(run));
        root.Subcommands.Add(RmCommand.Create(run));
        root.Subcommands.Add(StatCommand.Create(run));
        root.Subcommands.Add(ClusterCommand.Create(run));
        root.Subcommands.Add(ChunkCommand.Create(run));
        root.Subcommands.Add(VerifyCommand.Create(run));
        root.Subcommands.Add(TortureCommand.Create(run));
        root.Subcommands.Add(BenchCommand.Create(run));
        root.Subcommands.Add(MasterCommand.Create(run));
        root.Subcommands.Add(ChunkServerCommand.Create(run));
        root.Subcommands.Add(LogCommand.Create(run));
        root.Subcommands.Add(ConfigCommand.Create(run));
        root.Subcommands.Add(VersionCommand.Create(run));
        root.Subcommands.Add(CompletionCommand.Create(run));
        return root;
    }
}
