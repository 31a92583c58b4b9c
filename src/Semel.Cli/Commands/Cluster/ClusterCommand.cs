using System.CommandLine;
using Semel.Cli.Hosting;
using Semel.Cli.Terminal;
using Spectre.Console;

namespace Semel.Cli.Commands.Cluster;

/// <summary><c>semel cluster status</c></summary>
internal static class ClusterCommand
{
    public static Command Create(VerbRunner run)
    {
        var command = new Command("cluster", "Look at the cluster.");
        command.Subcommands.Add(run.Runs(new Command("status", "Show the master and its chunk servers."), StatusAsync));
        return command;
    }

    private static async Task StatusAsync(CommandContext context)
    {
        await using var client = context.Connect();
        var report = ClusterReport.Of(await client.GetClusterStatusAsync(context.Cancellation));
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(report));
            return;
        }
        context.Streams.WriteLine(FormattableString.Invariant($"""
            cluster {report.ClusterId}, master epoch {report.MasterEpoch}{(report.Recovering ? ", recovering" : "")}
            {report.Files} files, {report.Directories} directories, {report.Chunks} chunks ({report.UnderReplicated} under-replicated)
            new files: {report.Replicas} replicas, chunks of {Quantities.ShowSize(report.ChunkCapacity)}
            """));
        if (report.Withholds is { } withholds)
            context.Streams.WriteLine(withholds);
        if (report.LossProven > 0)
            context.Streams.WriteLine(FormattableString.Invariant($"acknowledged records are missing from {report.LossProven} chunks: replicas that prove it are kept, and named in the master's log"));
        if (report.Unavailable > 0)
            context.Streams.WriteLine(FormattableString.Invariant($"{report.Unavailable} chunks take no records for the moment:"));
        foreach (string chunk in report.UnavailableChunks)
            context.Streams.WriteLine("  " + chunk);
        if (context.Streams.OutputIsTerminal)
            WriteTable(report);
        else
            WriteLines(context, report);
    }

    private static void WriteTable(ClusterReport report)
    {
        var table = new Table().Border(TableBorder.Rounded)
            .AddColumns("chunk server", "address", "state")
            .AddColumn(new TableColumn("chunks").RightAligned())
            .AddColumn(new TableColumn("leases").RightAligned())
            .AddColumn(new TableColumn("free").RightAligned());
        foreach (var s in report.Servers)
            table.AddRow(s.Id, Markup.Escape(s.Address), s.Alive ? "[green]alive[/]" : $"[red]{StateOf(s)}[/]", $"{s.Chunks}", $"{s.Leases}", Quantities.Approximate(s.FreeBytes));
        AnsiConsole.Write(table);
    }

    private static void WriteLines(CommandContext context, ClusterReport report)
    {
        foreach (var s in report.Servers)
            context.Streams.WriteLine(FormattableString.Invariant(
                $"{s.Id}  {s.Address,-21}  {StateOf(s),-16}  {s.Chunks} chunks  {s.Leases} leases  {Quantities.Approximate(s.FreeBytes)} free"));
    }

    private static string StateOf(ServerReport s) => s.Alive ? "alive" : FormattableString.Invariant($"silent {s.SilentMs / 1000.0:0.0} s");
}
