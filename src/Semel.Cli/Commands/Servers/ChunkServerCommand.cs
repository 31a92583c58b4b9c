using System.CommandLine;
using Semel.Cli.Configuration;
using Semel.Cli.Hosting;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Servers;

/// <summary><c>semel chunkserver</c></summary>
internal static class ChunkServerCommand
{
    public static Command Create(VerbRunner run)
    {
        var command = new Command("chunkserver", "Run a chunk server: it keeps replicas of chunks.");
        var options = new RoleOptions<ChunkServerSettings>(command, ChunkServerSettings.Schema);
        command.Options.Add(ServerVerb.WhileStdinIsOpen);
        command.Options.Add(ServerVerb.ClockFromStdin);
        return run.Runs(command, context => ServerVerb.RunAsync(context, options.Load(context), ServeAsync));
    }

    private static async Task ServeAsync(ServerRun run, ChunkServerSettings settings)
    {
        await using var server = await RunningChunkServer.StartAsync(settings, run.Share, run.Time, run.Loggers, run.Stop);
        run.Cores.Watch("chunk server", server.Node.Completion);
        await using var http = await run.StartHttpAsync(settings, new ChunkServerProcessStatus(server.Node, settings.Server.MasterAddress));
        run.SayReady(new ReadyLine("chunkserver", server.Node.Address, http?.Address, server.Node.ClusterId, settings.Data));
        await run.StoppedAsync(server.RefuseForeignMasterAsync);
    }
}
