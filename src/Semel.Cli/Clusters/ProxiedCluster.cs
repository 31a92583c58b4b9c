using System.Globalization;

namespace Semel.Cli.Clusters;

/// <summary>
/// A master and chunk servers as processes of this one, which know each other only by the addresses of proxies in this process. Node 0 is the master, then come the
/// chunk servers, the last node is this process as a client.
/// </summary>
internal sealed class ProxiedCluster : IAsyncDisposable
{
    private readonly string _directory;
    private readonly string[] _masterSettings;
    private readonly TimeProvider _time;
    private readonly Node[] _nodes;
    private readonly int _client;

    private ProxiedCluster(string directory, int chunkServers, string[] masterSettings, TimeProvider time)
    {
        _directory = directory;
        _masterSettings = masterSettings;
        _time = time;
        _client = chunkServers + 1;
        Links = new Links(chunkServers + 2);
        _nodes = [.. Enumerable.Range(0, chunkServers + 1).Select(i => new Node(i, new LinkProxy(i, Links, NodeThatCalls, time)))];
    }

    public Links Links { get; }
    public int ChunkServers => _nodes.Length - 1;

    /// <summary>The master, as everybody knows it.</summary>
    public string Master => _nodes[0].Proxy.Address;

    /// <summary>Why chunk servers have no disks that can be filled up; null: they have.</summary>
    public string? NoSmallDisks { get; private set; }

    /// <param name="directory">For data and logs.</param>
    /// <param name="chunkServers">How many.</param>
    /// <param name="diskBytes">Size of a disk of its own for each chunk server; 0: all have their data in the directory.</param>
    /// <param name="masterSettings"><c>key=value</c>, as for <c>--set</c>.</param>
    public static async Task<ProxiedCluster> StartAsync(
        string directory, int chunkServers, long diskBytes, string[] masterSettings, TimeProvider time, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.Combine(directory, "logs"));
        var cluster = new ProxiedCluster(directory, chunkServers, masterSettings, time);
        try
        {
            foreach (var node in cluster._nodes.Skip(diskBytes > 0 ? 1 : cluster._nodes.Length))
            {
                if (cluster.NoSmallDisks is null)
                    node.Disk = await SmallDisk.TryMountAsync(Path.Combine(directory, node.Name), diskBytes, why => cluster.NoSmallDisks = why);
            }
            await cluster.StartAsync(0, cancellation);
            await Task.WhenAll(cluster._nodes.Skip(1).Select(n => cluster.StartAsync(n.Number, cancellation)));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public string NameOf(int node) => node == _client ? "clients" : _nodes[node].Name;

    /// <summary>Where a chunk server is for others.</summary>
    public string AddressOf(int node) => _nodes[node].Proxy.Address;

    public string DataOf(int node) => _nodes[node].Disk?.Path ?? Path.Combine(_directory, _nodes[node].Name);

    /// <summary>Null: its disk cannot be filled up.</summary>
    public SmallDisk? DiskOf(int node) => _nodes[node].Disk;

    /// <summary>Ends a node with SIGKILL. It stays down until it is started again.</summary>
    public Task KillAsync(int number) => EndAsync(number, process => process.KillAsync());

    /// <summary>Ends a node with SIGTERM.</summary>
    public Task StopAsync(int number) => EndAsync(number, process => process.StopAsync());

    /// <summary>Starts a node with the data that it has.</summary>
    public async Task StartAsync(int number, CancellationToken cancellation)
    {
        var node = _nodes[number];
        string[] role = number == 0
            ? ["master", .. _masterSettings.SelectMany(s => new[] { "--set", s })]
            : ["chunkserver", "--master", Master, "--set", $"advertise={node.Proxy.Address}"];
        node.Process = await ServerProcess.StartAsync(
            node.Name, [.. role, "--bind", "127.0.0.1:0", "--http", "none", "--data", DataOf(number), "--clock-from-stdin"], _time, cancellation,
            Path.Combine(_directory, "logs", node.Name + ".log"));
        await node.Process.TellAsync(ClockLine(node.ClockShift));
        node.Proxy.Target = node.Process.Address;
    }

    /// <summary>Stops a node with SIGSTOP until the result is disposed; it must not be killed meanwhile. Null: it is down.</summary>
    public async Task<IAsyncDisposable?> PauseAsync(int number) => _nodes[number].Process is { } process ? await process.PauseAsync() : null;

    /// <summary>Sets a node's wall clock off by this much, also after its next starts.</summary>
    public async Task ShiftClockAsync(int number, TimeSpan shift)
    {
        _nodes[number].ClockShift = shift;
        if (_nodes[number].Process is { } process)
            await process.TellAsync(ClockLine(shift));
    }

    /// <summary>Ends the connections between two nodes.</summary>
    public void Reset(int one, int other)
    {
        if (one < _nodes.Length)
            _nodes[one].Proxy.Reset(other);
        if (other < _nodes.Length)
            _nodes[other].Proxy.Reset(one);
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_nodes.Select(n => n.Process).OfType<ServerProcess>().Select(p => p.DisposeAsync().AsTask()));
        foreach (var node in _nodes)
        {
            await node.Proxy.DisposeAsync();
            if (node.Disk is not null)
                await node.Disk.DisposeAsync();
        }
    }

    private async Task EndAsync(int number, Func<ServerProcess, Task> end)
    {
        var node = _nodes[number];
        node.Proxy.Target = null;
        if (node.Process is { } process)
        {
            node.Process = null;
            await end(process);
            await process.DisposeAsync();
        }
    }

    private static string ClockLine(TimeSpan shift) => string.Create(CultureInfo.InvariantCulture, $"clock {(long)shift.TotalMilliseconds}");

    /// <summary>Who has opened a connection to a proxy: a server, else this process.</summary>
    private int NodeThatCalls(int callersPort, int proxysPort)
    {
        var servers = new Dictionary<int, int>();
        foreach (var node in _nodes)
        {
            // Read once: it may be killed at this moment.
            if (node.Process is { } server)
                servers[server.Id] = node.Number;
        }
        return SocketOwner.Find(callersPort, proxysPort, servers.Keys) is { } process ? servers[process] : _client;
    }

    private sealed class Node(int number, LinkProxy proxy)
    {
        public int Number => number;
        public string Name => number == 0 ? "master" : string.Create(CultureInfo.InvariantCulture, $"chunkserver{number}");
        public LinkProxy Proxy => proxy;
        public ServerProcess? Process { get; set; }
        public SmallDisk? Disk { get; set; }
        public TimeSpan ClockShift { get; set; }
    }
}
