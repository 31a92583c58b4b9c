using Semel.Protocol.Wires;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;
using Semel.Storage.Disks;

namespace Semel.Simulation.Cluster;

/// <summary>A server's node that took up its work.</summary>
/// <param name="Node">Disposing it is how an operator stops it.</param>
/// <param name="Completion">Ends when the node stops by itself; null: it never does.</param>
internal sealed record RunningNode(IAsyncDisposable Node, Task? Completion);

/// <summary>Starts the node of a server in a process.</summary>
internal delegate Task<RunningNode> StartNode(SimulatedProcess process, IDisk disk, IWire wire);

/// <summary>
/// A machine with a disk and one server on it, over all the server's incarnations.
/// <code>
/// Down --Start--> Starting --node is up--> Up --Kill, LosePower--> Down
///   ^                 +------the node throws (a faulty disk): a supervisor tries again------+
/// </code>
/// </summary>
internal sealed class SimulatedServer
{
    private static readonly TimeSpan RestartDelay = TimeSpan.FromMilliseconds(300);

    private readonly SimulatedWorld _world;
    private readonly SimulatedNetwork _network;
    private readonly ClusterShape _shape;
    private readonly SimulatedRandom _random;
    private readonly StartNode _start;
    private int _incarnations;
    private bool _wanted;
    private long _failedFlushesAtBoot;

    public SimulatedServer(SimulatedWorld world, SimulatedNetwork network, ClusterShape shape, string host, int port, StartNode start)
    {
        (_world, _network, _shape, _start) = (world, network, shape, start);
        _random = world.Random.Fork();
        Host = host;
        Address = $"{host}:{port}";
        Disk = new SimulatedDisk(world, host);
    }

    public string Host { get; }
    public string Address { get; }
    public SimulatedDisk Disk { get; private set; }

    /// <summary>The current incarnation; null when the server is down.</summary>
    public SimulatedProcess? Process { get; private set; }

    /// <summary>The running node; null while it is down or starting.</summary>
    public RunningNode? Node { get; private set; }

    public bool IsUp => Node is not null;

    /// <summary>Flushes of this incarnation may have failed.</summary>
    public bool HadFlushErrors => Disk.FailedFlushes > _failedFlushesAtBoot;

    /// <summary>Something was done to the files on its disk that no disk does by itself, or bytes rotted.</summary>
    public bool WasHarmed { get; set; }

    /// <summary>Its machine lost power.</summary>
    public bool LostPower { get; private set; }

    /// <summary>The machine is gone, and nobody puts another one in its place.</summary>
    public bool IsGone { get; private set; }

    /// <summary>The disk that it began with is gone.</summary>
    public bool LostDisk { get; private set; }

    /// <summary>An operator stopped it, and it ended as it should; nobody has started it since.</summary>
    public bool WasStopped { get; private set; }

    /// <summary>
    /// Why it did not take up its work on files that somebody had changed: it waits for its operator. Null: it did, or was never started on
    /// them.
    /// </summary>
    public string? Refusal { get; private set; }

    /// <summary>Its files are such that it may refuse to start on them.</summary>
    public bool MayRefuse { get; set; }

    /// <summary>Its files before somebody changed them: the operator has them. Null: nobody did.</summary>
    public IReadOnlyList<(string Name, byte[] Bytes)>? Truth { get; set; }

    /// <summary>Of a chunk server: the master that it is told of; null: the cluster's.</summary>
    public string? MasterAddress { get; set; }

    /// <summary>Somebody looks before it dies.</summary>
    public Action? Dying { get; set; }

    /// <summary>Virtual time at which it was started last.</summary>
    public long StartedNs { get; private set; }

    public SimulatedProcess NewProcess()
    {
        int drift = _random.Below(2 * _shape.MaxDriftPpm + 1) - _shape.MaxDriftPpm;
        var offset = _shape.MaxClockOffset * (2 * _random.NextDouble() - 1);
        var process = _world.StartProcess($"{Host}.{++_incarnations}", new ProcessClock(drift, offset));
        process.Scrambles = _shape.Scrambles;
        return process;
    }

    /// <summary>Begins to start the server; it is up when <see cref="IsUp"/>.</summary>
    public void Start()
    {
        if (_wanted || IsGone)
            return;
        _wanted = true;
        (WasStopped, Refusal) = (false, null);
        _network.SetPower(Host, true);
        Boot();
    }

    private void Boot()
    {
        var process = NewProcess();
        Process = process;
        StartedNs = _world.NowNs;
        _failedFlushesAtBoot = Disk.FailedFlushes;
        _world.Mark("boot", process.Number);
        _world.Tell(process.Name, "starts");
        process.Start(async () =>
        {
            try
            {
                var node = await _start(process, Disk.OpenFor(process), new SimulatedWire(_network, process, Host));
                if (Process == process)
                    Node = node;
                if (node.Completion is { } completion)
                    await completion;
            }
            catch (IOException e) when (DiskIsBad)
            {
                _world.Tell(process.Name, $"stopped by itself: {e.Message}");
                _world.Reached("a server stopped by itself");
                Crashed(process);
            }
            catch (IOException e) when (MayRefuse)
            {
                _world.Tell(process.Name, $"refuses: {e.Message}");
                _world.Reached("a server refused to start on what somebody had changed");
                if (Process != process)
                    return;
                Kill();
                Refusal = e.Message;
            }
        });
    }

    private bool DiskIsBad => Disk.Faults is not { Full: false, FlushError: 0, WriteError: 0 } || Disk.FailFlush is not null || HadFlushErrors;

    /// <summary>The process ended by itself; a supervisor starts it again.</summary>
    private void Crashed(SimulatedProcess process)
    {
        if (Process != process)
            return;
        process.Kill();
        (Process, Node) = (null, null);
        _world.After(RestartDelay, () =>
        {
            if (_wanted && Process is null)
                Boot();
        });
    }

    /// <summary>kill -9: what was written stays in the page cache.</summary>
    public void Kill()
    {
        _wanted = false;
        if (Process is not null)
            Dying?.Invoke();
        Process?.Kill();
        (Process, Node) = (null, null);
    }

    /// <summary>The machine goes dark: what was not flushed is lost, kept or torn.</summary>
    public void LosePower()
    {
        Kill();
        LostPower = true;
        _network.SetPower(Host, false);
        Disk.LosePower();
    }

    /// <summary>
    /// The machine and its disk are gone. An empty one may be put in its place under the same address: it knows nothing, and is another
    /// server.
    /// </summary>
    public void LoseDisk(bool isReplaced, DiskFaults faults)
    {
        Kill();
        _network.SetPower(Host, false);
        _world.Mark("disk lost", isReplaced ? 1 : 0);
        _world.Tell(Host, isReplaced ? "lost its disk; an empty machine takes its place" : "lost its disk for good");
        Disk = new SimulatedDisk(_world, Host) { Faults = faults, Shortening = Disk.Shortening };
        (LostDisk, LostPower, WasHarmed, MayRefuse, Truth, IsGone) = (true, false, false, false, null, !isReplaced);
        _failedFlushesAtBoot = 0;
    }

    /// <summary>After all an empty machine takes the place of one that is gone.</summary>
    public void Replace() => IsGone = false;

    /// <summary>Stops the server as an operator does.</summary>
    public async Task StopAsync()
    {
        if (Process is not { } process || Node is not { } node)
            return;
        await process.Start(async () =>
        {
            await node.Node.DisposeAsync();
            return true;
        });
        if (Process != process)
            return;
        Kill();
        WasStopped = true;
    }
}
