using System.Globalization;
using Semel.Cli.Terminal;

namespace Semel.Cli.Clusters;

/// <summary>
/// A master and chunk servers as separate processes on free ports, with their data in a fresh temporary directory. Disposing it ends the
/// processes and removes the directory.
/// </summary>
internal sealed class TemporaryCluster : IAsyncDisposable
{
    private readonly TimeProvider _time;
    private readonly TemporaryDirectory _directory = new();
    private readonly ServerProcess?[] _chunkServers;
    private readonly string[] _settings;

    private TemporaryCluster(int chunkServers, string[] chunkServerSettings, TimeProvider time)
    {
        _chunkServers = new ServerProcess?[chunkServers];
        _settings = chunkServerSettings;
        _time = time;
    }

    public ServerProcess MasterProcess { get; private set; } = null!;
    public string Master => MasterProcess.Address;
    public IEnumerable<ServerProcess> ChunkServers => _chunkServers.OfType<ServerProcess>();

    /// <param name="chunkServers">How many.</param>
    /// <param name="masterSettings"><c>key=value</c>, as for <c>--set</c>.</param>
    /// <param name="chunkServerSettings"><c>key=value</c>, as for <c>--set</c>.</param>
    public static async Task<TemporaryCluster> StartAsync(
        int chunkServers, string[] masterSettings, string[] chunkServerSettings, TimeProvider time, CancellationToken cancellation)
    {
        var cluster = new TemporaryCluster(chunkServers, chunkServerSettings, time);
        try
        {
            cluster.MasterProcess = await ServerProcess.StartAsync("master",
                ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Path.Combine(cluster._directory.Path, "master"), .. Sets(masterSettings)], time, cancellation);
            await Task.WhenAll(Enumerable.Range(0, chunkServers).Select(i => cluster.StartChunkServerAsync(i, "127.0.0.1:0", cancellation)));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Ends a chunk server with SIGKILL.</summary>
    public Task KillChunkServerAsync(int index) => _chunkServers[index]!.KillAsync();

    /// <summary>Starts a killed chunk server again, at its old address and with its old data.</summary>
    public async Task RestartChunkServerAsync(int index, CancellationToken cancellation)
    {
        var killed = _chunkServers[index]!;
        string address = killed.Address;
        _chunkServers[index] = null;
        await killed.DisposeAsync();
        await StartChunkServerAsync(index, address, cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_chunkServers.OfType<ServerProcess>().Select(s => s.DisposeAsync().AsTask()));
        if (MasterProcess is not null)
            await MasterProcess.DisposeAsync();
        _directory.Dispose();
    }

    private async Task StartChunkServerAsync(int index, string address, CancellationToken cancellation)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"chunkserver{index + 1}");
        _chunkServers[index] = await ServerProcess.StartAsync(name,
            ["chunkserver", "--master", Master, "--bind", address, "--http", "none", "--data", Path.Combine(_directory.Path, name), .. Sets(_settings)], _time, cancellation);
    }

    private static IEnumerable<string> Sets(string[] settings) => settings.SelectMany(s => new[] { "--set", s });
}
