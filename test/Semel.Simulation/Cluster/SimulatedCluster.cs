using System.Globalization;
using Google.Protobuf;
using Semel.ChunkServer;
using Semel.Master;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;

namespace Semel.Simulation.Cluster;

/// <summary>A master and chunk servers, the real ones, on simulated machines; and any number of client processes.</summary>
internal sealed class SimulatedCluster
{
    private const int MasterPort = 7070;
    private const int ChunkServerPort = 7071;

    private readonly List<string> _hosts = [];
    private readonly List<SimulatedServer> _chunkServers = [];
    private int _clients;
    private List<(ChunkHandle Handle, IReadOnlyList<SimulatedServer> Holders)> _chunksAtDeath = [];
    private List<string> _addressesAtDeath = [];

    public SimulatedCluster(SimulatedWorld world, ClusterShape shape, bool harshMaster = false)
    {
        World = world;
        Shape = shape;
        Network = new SimulatedNetwork(world);
        Environment = world.StartProcess("environment");
        Master = new SimulatedServer(world, Network, shape, "master", MasterPort, harshMaster ? HarshMaster.For(this) : Nodes.Master(this, $"master:{MasterPort}"));
        _hosts.Add(Master.Host);
        for (int i = 1; i <= shape.ChunkServers; i++)
        {
            var server = new SimulatedServer(world, Network, shape, $"cs{i}", ChunkServerPort, Nodes.ChunkServer(this));
            _chunkServers.Add(server);
            _hosts.Add(server.Host);
        }
        if (shape.Durability == Durability.Group)
            Network.Replied = CheckVote;
        Copies = new Copies(this);
        Master.Dying = () =>
        {
            if (Master.IsUp)        // one that dies while it starts has not said anything
                (_chunksAtDeath, _addressesAtDeath) = ([.. Chunks()], [.. KnownAddresses()]);
            OldWasElected |= Master.Truth is not null && IsElected(Master);
        };
    }

    public SimulatedWorld World { get; }
    public ClusterShape Shape { get; }
    public SimulatedNetwork Network { get; }

    /// <summary>What was acknowledged, and which disks have it.</summary>
    public Copies Copies { get; }

    /// <summary>Where scripts run: nothing ever happens to this process.</summary>
    public SimulatedProcess Environment { get; }
    public SimulatedServer Master { get; }

    /// <summary>A second master, on a copy of the first one's directory; null: there is none.</summary>
    public SimulatedServer? Second { get; private set; }

    /// <summary>
    /// Chunk servers took the second master for the right one, because for a while nobody else was there to ask. They speak against the
    /// first one from then on.
    /// </summary>
    public bool SecondWasElected { get; private set; }

    /// <summary>Likewise for an old master that was put back. What was acknowledged since, only that one knows.</summary>
    public bool OldWasElected { get; private set; }

    /// <summary>The master gives nothing away for good.</summary>
    public bool IsRefuted => Master.Node?.Node is MasterNode { Standing.Refutation: not null };

    /// <summary>The operator gives up what the master's log lacks, with its next start.</summary>
    public bool AcceptLostEntries { get; set; }

    public IReadOnlyList<SimulatedServer> ChunkServers => _chunkServers;
    public IEnumerable<SimulatedServer> Servers => _chunkServers.Prepend(Master);

    /// <summary>Names of all machines, those of clients included.</summary>
    public IReadOnlyList<string> Hosts => _hosts;

    /// <summary>What a disk is like when nothing is wrong with it.</summary>
    public DiskFaults UsualDisk { get; set; } = DiskFaults.None;

    /// <inheritdoc cref="Runs.RunPlan.Regrants"/>
    public double Regrants { get; init; } = 0.25;

    /// <summary>Nothing bad happens any more.</summary>
    public bool IsHealed { get; private set; }

    public void Start()
    {
        foreach (var server in Servers)
        {
            server.Disk.Faults = UsualDisk;
            server.Start();
        }
    }

    /// <summary>A machine for a second master; it is not started.</summary>
    public SimulatedServer AddMaster()
    {
        Second = new SimulatedServer(World, Network, Shape, "master2", MasterPort, Nodes.Master(this, $"master2:{MasterPort}"));
        _hosts.Add(Second.Host);
        Second.Dying = () => SecondWasElected |= IsElected(Second);
        return Second;
    }

    private static bool IsElected(SimulatedServer master) => master.Node?.Node is MasterNode { Standing.WasElected: true };

    /// <summary>A new process on a machine of its own.</summary>
    public (SimulatedProcess Process, IWire Wire) NewClientProcess(string name)
    {
        string host = $"{name}-{++_clients}";
        _hosts.Add(host);
        return NewClientProcessOn(host);
    }

    /// <summary>A new process on a machine that is there already.</summary>
    public (SimulatedProcess Process, IWire Wire) NewClientProcessOn(string host)
    {
        var process = World.StartProcess($"{host}.{World.EventCount}");
        return (process, new SimulatedWire(Network, process, host));
    }

    /// <summary>Whoever listens on this address.</summary>
    public SimulatedServer ServerAt(string address) => Servers.First(server => server.Address == address);

    /// <summary>What the master believes: each chunk, and the servers whose replicas count. Empty while it is down.</summary>
    public IEnumerable<(ChunkHandle Handle, IReadOnlyList<SimulatedServer> Holders)> Chunks() => Master.Node?.Node switch
    {
        MasterNode real => real.State.Chunks().Select(c => (c.Handle, (IReadOnlyList<SimulatedServer>)[.. c.Holders.Select(h => ServerAt(real.State.Servers[h].Address))])),
        HarshMaster harsh => harsh.Chunks(),
        _ => [],
    };

    /// <summary>As <see cref="Chunks"/>; while the master is down, what it believed when it died.</summary>
    public IReadOnlyList<(ChunkHandle Handle, IReadOnlyList<SimulatedServer> Holders)> LastKnownChunks() => Master.IsUp ? [.. Chunks()] : _chunksAtDeath;

    /// <summary>The master knows the machine's chunk server, or did when it died; and its disk is the one that it had then.</summary>
    public bool IsKnown(SimulatedServer server) =>
        !server.LostDisk && (Master.IsUp ? KnownAddresses() : _addressesAtDeath).Contains(server.Address);

    private IEnumerable<string> KnownAddresses() => Master.Node?.Node switch
    {
        MasterNode real => real.State.Servers.Values.Select(s => s.Address),
        HarshMaster => _chunkServers.Select(s => s.Address),        // it remembers nothing that it would ask them for
        _ => [],
    };

    /// <summary>With group durability a vote says what a loss of power leaves, and so does a promise, until its view begins.</summary>
    private void CheckVote(SimulatedCall call, IMessage reply)
    {
        var (handle, length) = reply switch
        {
            Vote { Status: VoteStatus.Voted } vote => (call.Request is PrepareRequest r ? r.Handle : ((NewViewRequest)call.Request).Handle, vote.Durable),
            PromiseReply { Status: Status.Ok } promise when promise.LastView < promise.Promised => (((PromiseRequest)call.Request).Handle, promise.Tail),
            _ => (0ul, 0u),
        };
        if (length > 0 && ServerAt(call.Address) is { WasHarmed: false } server && !server.Disk.IsDurable(FileOf(new ChunkHandle(handle)), length))
            World.Fail($"{call.ToHost} says in its answer to {call.Kind} #{call.Id} that {length} bytes of chunk {new ChunkHandle(handle)} are durable, and they are not");
    }

    /// <summary>Where a chunk server keeps the frames of a chunk.</summary>
    public static string FileOf(ChunkHandle handle) => $"chunks/{handle.ToString()[14..]}/{handle}.chunk";

    /// <summary>Whose frames the file has, by its name.</summary>
    public static ChunkHandle HandleOf(string file) => new(ulong.Parse(Path.GetFileNameWithoutExtension(file), NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    /// <summary>Of the server's data directory, as the master has logged it.</summary>
    public ulong GenerationOf(SimulatedServer server) =>
        Master.Node?.Node is MasterNode real ? real.State.Servers.Values.Where(s => s.Address == server.Address).Select(s => s.Generation).DefaultIfEmpty().Max() : 0;

    /// <summary>
    /// A chunk has no replica left that anybody may believe, and that for a good reason. Then the file has to wait for its operator.
    /// </summary>
    /// <param name="evenIfWhole">
    /// Also when a server that was left out still has all of it, which the master cannot know: where nobody looks after that when files are
    /// touched.
    /// </param>
    public bool IsUnavailableByRight(bool evenIfWhole) => Chunks().Any(chunk =>
        chunk.Holders.All(server => HasForgotten(server, chunk.Handle)) && (evenIfWhole || !Copies.Provable(chunk.Handle).Any()));

    private bool HasForgotten(SimulatedServer server, ChunkHandle handle)
    {
        if (!server.WasHarmed && !server.LostDisk && !(server.LostPower && Shape.Durability == Durability.Memory))
            return false;
        var report = ((ChunkServerNode?)server.Node?.Node)?.Reports().FirstOrDefault(r => r.Handle == handle.Value);
        return report is null or { Suspect: true } or { Damaged: true };
    }

    /// <summary>All machines that are there have power, all processes run, disks and network are good.</summary>
    public void Heal()
    {
        IsHealed = true;
        // With the machines that are left a file must be able to go on.
        foreach (var gone in _chunkServers.Where(server => server.IsGone))
        {
            if (_chunkServers.Count(server => !server.IsGone) < Math.Max(2, Shape.MinMembers))
                gone.Replace();
        }
        Second?.Kill();
        foreach (var server in _chunkServers.Where(server => server.MasterAddress is not null))
        {
            server.MasterAddress = null;
            server.Kill();
        }
        Network.Faults = Network.Faults with { Loss = 0, Duplication = 0, Tail = 0 };
        Calm();
    }

    /// <summary>As <see cref="Heal"/>, for the moment: messages may still be lost, and what breaks next breaks.</summary>
    public void Calm()
    {
        Network.MendAll();
        foreach (var server in Servers)
        {
            bool wasSpoiled = server.HadFlushErrors;
            server.Disk.Faults = DiskFaults.None;
            server.Process?.Spare();
            server.Process?.Resume();
            if (wasSpoiled)
                server.Kill();      // a disk that failed is believed again only after a restart
            server.Start();
        }
    }

    /// <summary>Completes when all servers run.</summary>
    public async Task AllUpAsync()
    {
        while (!Servers.All(server => server.IsUp))
            await Task.Delay(TimeSpan.FromMilliseconds(10), Environment.Time);
    }
}
