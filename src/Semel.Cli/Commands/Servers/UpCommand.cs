using System.CommandLine;
using System.Globalization;
using Semel.Cli.Clusters;
using Semel.Cli.Configuration;
using Semel.Cli.Hosting;
using Semel.Cli.Terminal;
using Semel.Protocol.Frames;

namespace Semel.Cli.Commands.Servers;

/// <summary><c>semel up</c>: a whole cluster in this process, for trying out. Its parts speak over real loopback connections.</summary>
internal static class UpCommand
{
    private sealed record Shape(string Master, string Http, IReadOnlyList<string> Chunkservers, string ClusterId, string Data);

    public static Command Create(VerbRunner run)
    {
        var data = new Option<string?>("--data") { Description = "Directory of everything. Default ./semel-data.", HelpName = "DIR" };
        var port = Parsing.Number("--port", 7070, 0, 65525, "The master's port; HTTP is 10 above it, chunk servers follow it. 0: any free ports.");
        port.HelpName = "BASE";
        var chunkServers = Parsing.Number("--chunkservers", 3, 1, 9, "How many chunk servers.");
        var chunkSize = Parsing.Size("--chunk-size", ChunkLimits.DefaultCapacity, ChunkLimits.MinCapacity, ChunkLimits.MaxCapacity, "Bytes that a new chunk may hold.");
        var ephemeral = new Option<bool>("--ephemeral") { Description = "Keep the data in a temporary directory and remove it at the end." };
        var logLevel = Parsing.Choice("--log-level", LogLevelChoice.Warning, "From which severity on events are logged.");
        var command = new Command("up", "Run a whole cluster in this process until Ctrl-C: a master, chunk servers, HTTP.")
        {
            data, port, chunkServers, chunkSize, ephemeral, logLevel, ServerVerb.WhileStdinIsOpen,
        };
        return run.Runs(command, async context =>
        {
            if (context.Get(ephemeral) && context.Get(data) is not null)
                throw CommandException.Usage("--ephemeral keeps nothing, and --data names a directory to keep. Leave one of them out.");
            using var temporary = context.Get(ephemeral) ? new TemporaryDirectory() : null;
            var settings = new UpSettings
            {
                Data = temporary?.Path ?? context.Get(data) ?? "semel-data",
                Http = Address(context.Get(port), 10),
                LogLevel = context.Get(logLevel),
                Port = context.Get(port),
                ChunkServers = (int)context.Get(chunkServers),
                ChunkSize = (uint)context.Get(chunkSize),
            };
            return await ServerVerb.RunAsync(context, settings, (server, _) => ServeAsync(context, server, settings), servers: settings.ChunkServers + 1);
        });
    }

    private static async Task ServeAsync(CommandContext context, ServerRun run, UpSettings settings)
    {
        await using var master = await RunningMaster.StartAsync(settings.Master(), run.Share, run.Time, run.Loggers, run.Stop);
        run.Cores.Watch("master", master.Node.Completion);
        var servers = new List<RunningChunkServer>();
        try
        {
            for (int i = 1; i <= settings.ChunkServers; i++)
            {
                servers.Add(await RunningChunkServer.StartAsync(settings.ChunkServer(i, master.Node.Address), run.Share, run.Time, run.Loggers, run.Stop));
                run.Cores.Watch(string.Create(CultureInfo.InvariantCulture, $"chunk server {i} on {servers[^1].Node.Address}"), servers[^1].Node.Completion);
            }
            await using var status = new ClusterProcessStatus(master.Node.Address, run.Time, run.Loggers);
            await using var http = await run.StartHttpAsync(settings, status);
            await status.WaitForServersAsync(settings.ChunkServers, run.Stop);
            SayReady(context, settings, master, servers, http!);
            await run.StoppedAsync();
            if (!context.Json)
                context.Say("stopping");
        }
        finally
        {
            await Task.WhenAll(servers.Select(s => s.DisposeAsync().AsTask()));
        }
    }

    private static void SayReady(CommandContext context, UpSettings settings, RunningMaster master, List<RunningChunkServer> servers, HttpEndpoint http)
    {
        var addresses = servers.ConvertAll(s => s.Node.Address);
        string data = Path.GetFullPath(settings.Data);
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(new Shape(master.Node.Address, $"http://{http.Address}", addresses, master.Node.ClusterId, data)));
            context.Streams.WriteLine("ready");
            return;
        }
        string flag = master.Node.Address == Addresses.DefaultMaster ? "" : $" --master {master.Node.Address}";
        context.Streams.WriteLine($"""
            master         {master.Node.Address}
            chunk servers  {string.Join(' ', addresses)}
            http           http://{http.Address}/
            data           {data}

            Try, from another shell:
              echo hello | semel append /demo/log --create{flag}
              semel tail -f /demo/log{flag}
              semel records /demo/log --json{flag}

            ready
            """);
    }

    private static string Address(long basePort, int offset) =>
        string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{(basePort == 0 ? 0 : basePort + offset)}");

    /// <summary>The settings of a cluster in one process, as settings of its parts.</summary>
    private sealed class UpSettings : ProcessSettings
    {
        public long Port { get; init; }
        public int ChunkServers { get; init; }
        public uint ChunkSize { get; init; }

        public MasterSettings Master()
        {
            var settings = new MasterSettings { Data = Path.Combine(Data, "master") };
            settings.Master.BindAddress = Address(Port, 0);
            settings.Master.ChunkCapacity = ChunkSize;
            settings.Master.Replicas = Math.Min(settings.Master.Replicas, ChunkServers);
            settings.Master.MinMembers = Math.Min(settings.Master.MinMembers, settings.Master.Replicas);
            return settings;
        }

        public ChunkServerSettings ChunkServer(int number, string master)
        {
            var settings = new ChunkServerSettings { Data = Path.Combine(Data, string.Create(CultureInfo.InvariantCulture, $"chunkserver{number}")) };
            settings.Server.BindAddress = Address(Port, number);
            settings.Server.MasterAddress = master;
            return settings;
        }
    }
}
