using System.CommandLine;
using Semel.Cli.Configuration;
using Semel.Cli.Hosting;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Servers;

/// <summary><c>semel master</c></summary>
internal static class MasterCommand
{
    public static Command Create(VerbRunner run)
    {
        var command = new Command("master", "Run a master: the namespace, where chunks are, who may write.");
        var options = new RoleOptions<MasterSettings>(command, MasterSettings.Schema);
        command.Options.Add(ServerVerb.WhileStdinIsOpen);
        command.Options.Add(ServerVerb.ClockFromStdin);
        return run.Runs(command, context => ServerVerb.RunAsync(context, options.Load(context), ServeAsync));
    }

    private static async Task ServeAsync(ServerRun run, MasterSettings settings)
    {
        await using var master = await RunningMaster.StartAsync(settings, run.Share, run.Time, run.Loggers, run.Stop);
        run.Cores.Watch("master", master.Node.Completion);
        var status = new ClusterProcessStatus(master.Node.Address, run.Time, run.Loggers);
        await using var disposeStatus = status;
        await using var http = await run.StartHttpAsync(settings, status);
        run.SayReady(new ReadyLine("master", master.Node.Address, http?.Address, master.Node.ClusterId, settings.Data));
        await run.StoppedAsync();
    }
}
