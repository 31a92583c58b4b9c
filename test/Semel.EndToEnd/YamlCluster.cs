using System.Diagnostics;
using Semel.Cli.Clusters;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>A master (0) and chunk servers (1 and up), each a process with a YAML file. A server that is started again has its old address and data.</summary>
internal sealed class YamlCluster : IAsyncDisposable
{
    private readonly string _directory;
    private readonly ServerProcess?[] _servers;
    private readonly int? _mostOpenFiles;
    private readonly HashSet<int> _stopped = [];

    private YamlCluster(string directory, int chunkServers, string[] masterLines, int? mostOpenFiles)
    {
        _mostOpenFiles = mostOpenFiles;
        MasterLines = masterLines;
        _directory = directory;
        _servers = new ServerProcess?[chunkServers + 1];
    }

    public string Master { get; private set; } = "";

    /// <summary>Lines for the master's file, as of its next start.</summary>
    public string[] MasterLines { get; set; }

    /// <param name="masterLines">Lines for the master's file, such as <c>repair_grace: 1s</c>.</param>
    public static Task<YamlCluster> StartAsync(string directory, int chunkServers, params string[] masterLines) => StartAsync(directory, chunkServers, null, masterLines);

    /// <param name="mostOpenFiles">Files that each process may have open; null: as many as this one.</param>
    public static async Task<YamlCluster> StartAsync(string directory, int chunkServers, int? mostOpenFiles, params string[] masterLines)
    {
        var cluster = new YamlCluster(directory, chunkServers, masterLines, mostOpenFiles);
        await cluster.StartAsync(0, "127.0.0.1:0");
        cluster.Master = cluster._servers[0]!.Address;
        await Task.WhenAll(Enumerable.Range(1, chunkServers).Select(i => cluster.StartAsync(i, "127.0.0.1:0")));
        return cluster;
    }

    public string AddressOf(int server) => _servers[server]!.Address;

    public int IdOf(int server) => _servers[server]!.Id;

    public bool HasExited(int server) => _servers[server]!.HasExited;

    public string LastErrorsOf(int server) => _servers[server]!.LastErrors;

    public int ChunkServers => _servers.Length - 1;

    /// <summary>Asks the master again and again; the test's time is the limit.</summary>
    public async Task UntilAsync(Predicate<ClusterStatus> condition)
    {
        await using var client = SemelClient.Connect(Master);
        while (!condition(await client.GetClusterStatusAsync(TestContext.Current.CancellationToken)))
            await Task.Delay(20, TestContext.Current.CancellationToken);
    }

    public Task KillAsync(int server) => _servers[server]!.KillAsync();

    /// <summary>As an operator does.</summary>
    public async Task StopAsync(int server)
    {
        if (_stopped.Add(server))
            await _servers[server]!.DisposeAsync();
    }

    public async Task StartAgainAsync(int server)
    {
        var killed = _servers[server]!;
        await StopAsync(server);
        await StartAsync(server, killed.Address);
        _stopped.Remove(server);
    }

    public async ValueTask DisposeAsync()
    {
        for (int server = _servers.Length - 1; server >= 0; server--)
        {
            if (_servers[server] is not null)
                await StopAsync(server);
        }
    }

    private async Task StartAsync(int server, string address)
    {
        string role = server == 0 ? "master" : "chunkserver";
        string file = Path.Combine(_directory, $"{role}{server}.yaml");
        string own = server == 0 ? "chunk_size: 1MiB\nhttp: none\n" + string.Join('\n', MasterLines) : $"master: {Master}";
        await File.WriteAllTextAsync(file, $"bind: {address}\ndata: {Path.Combine(_directory, $"{role}{server}")}\nlog_level: warning\n{own}\n");
        var command = ServerProcess.CommandOf([role, "--config", file]);
        _servers[server] = await ServerProcess.StartAsync(
            $"{role}{server}", _mostOpenFiles is { } most ? Limited(command, most) : command, TimeProvider.System, TestContext.Current.CancellationToken);
    }

    /// <summary>The command under a shell that has lowered the limit for itself, and so for the program that takes its place.</summary>
    private static ProcessStartInfo Limited(ProcessStartInfo command, int mostOpenFiles)
    {
        var shell = new ProcessStartInfo("/bin/sh") { UseShellExecute = false };
        foreach (string argument in (IEnumerable<string>)["-c", "ulimit -n $1 && shift && exec \"$@\"", "sh", $"{mostOpenFiles}", command.FileName, .. command.ArgumentList])
            shell.ArgumentList.Add(argument);
        return shell;
    }
}
