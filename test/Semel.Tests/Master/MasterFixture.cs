using Google.Protobuf;
using Semel.Master;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;

namespace Semel.Tests.Master;

/// <summary>A real master on a simulated machine; the test plays the clients and the chunk servers.</summary>
internal sealed class MasterFixture
{
    public const string Address = "master:7070";
    public static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(4);

    private readonly SimulatedProcess _script;
    private SimulatedProcess? _process;

    public MasterFixture(ulong seed = 1)
    {
        World = new SimulatedWorld(seed, Environment.GetEnvironmentVariable("SEMEL_SCENARIO_TRACE") is { } file ? new StreamWriter(file) { AutoFlush = true } : null);
        Network = new SimulatedNetwork(World);
        Disk = new SimulatedDisk(World, "master");
        _script = World.StartProcess("script");
        Wire = new SimulatedWire(Network, _script, "script");
    }

    public SimulatedWorld World { get; }
    public SimulatedNetwork Network { get; }
    public SimulatedDisk Disk { get; }
    public SimulatedWire Wire { get; }
    public MasterOptions Options { get; } = new() { BindAddress = Address };
    public MasterNode Node { get; private set; } = null!;
    public MasterState State => Node.State;

    /// <summary>Its servers have confirmed it: it gives things away.</summary>
    public bool IsConfirmed => Node.Standing.IsConfirmed;

    /// <summary>What speaks against it.</summary>
    public string? Refutation => Node.Standing.Refutation;
    public SimulatedTime Time => _script.Time;

    public static void Run(Func<MasterFixture, Task> script, ulong seed = 1)
    {
        var fixture = new MasterFixture(seed);
        var done = fixture._script.Start(async () =>
        {
            await fixture.StartAsync();
            await script(fixture);
            return true;
        });
        bool passed = fixture.World.RunUntil(() => done.IsCompleted, TimeSpan.FromMinutes(10), "the script");
        if (done.Exception is { } e)
            throw new InvalidOperationException("The script failed: " + e.InnerException!.Message, e.InnerException);
        Assert.True(passed, fixture.World.Failure);
    }

    public async Task StartAsync()
    {
        var process = _process = World.StartProcess("master");
        Node = await process.Start(() => MasterNode.StartAsync(
            Options, Disk.OpenFor(process), new SimulatedWire(Network, process, "master"), process.Time, process.Random, new SimulatedLogging(process), default));
    }

    /// <summary>kill -9, or a loss of power, and a new start.</summary>
    public async Task RestartAsync(bool losePower = true)
    {
        _process!.Kill();
        if (losePower)
            Disk.LosePower();
        await StartAsync();
    }

    public Task PassAsync(TimeSpan time) => Task.Delay(time, _script.Time);

    public async Task UntilAsync(Func<bool> condition)
    {
        for (int i = 0; !condition(); i++)
        {
            Assert.True(i < 20_000, "The condition never held.");
            await PassAsync(TimeSpan.FromMilliseconds(5));
        }
    }

    public Task<T> CallAsync<T>(MessageKind kind, IMessage request) where T : class, IMessage => CallAsync<T>(Address, kind, request);

    public async Task<T> CallAsync<T>(string address, MessageKind kind, IMessage request) where T : class, IMessage
    {
        var result = await Wire.LinkTo(address).CallAsync(kind, request, Payload.Empty, CallTimeout);
        result.Payload.Release();
        Assert.True(result.IsAnswered, $"{kind}: {result.Outcome} {result.Detail}");
        return result.Answer<T>();
    }

    // ---- Clients

    public Task<CreateFileReply> CreateAsync(string path, uint replicas = 0, bool orOpen = false, bool parents = false, Durability durability = Durability.Unspecified) =>
        CallAsync<CreateFileReply>(MessageKind.CreateFile, new CreateFileRequest { Path = path, Replicas = replicas, OrOpen = orOpen, Parents = parents, Durability = durability });

    public Task<MakeDirectoryReply> MakeDirectoryAsync(string path, bool parents = false) =>
        CallAsync<MakeDirectoryReply>(MessageKind.MakeDirectory, new MakeDirectoryRequest { Path = path, Parents = parents });

    public Task<ListDirectoryReply> ListAsync(string path, string after = "", uint limit = 1000) =>
        CallAsync<ListDirectoryReply>(MessageKind.ListDirectory, new ListDirectoryRequest { Path = path, After = after, Limit = limit });

    public Task<StatReply> StatAsync(string path) => CallAsync<StatReply>(MessageKind.Stat, new StatRequest { Path = path });

    public Task<DeleteReply> DeleteAsync(string path, bool recursive = false) =>
        CallAsync<DeleteReply>(MessageKind.Delete, new DeleteRequest { Path = path, Recursive = recursive });

    public Task<RegisterWriterReply> RegisterWriterAsync(string path, string name) =>
        CallAsync<RegisterWriterReply>(MessageKind.RegisterWriter, new RegisterWriterRequest { Path = path, Name = name });

    public Task<LocateTailReply> LocateTailAsync(string path, ChunkLocation? suspect = null, bool create = true) =>
        CallAsync<LocateTailReply>(MessageKind.LocateTail, new LocateTailRequest
        {
            Path = path,
            Create = create,
            SuspectHandle = suspect?.Handle ?? 0,
            SuspectVersion = suspect?.Version ?? 0,
        });

    public Task<LocateChunksReply> LocateChunksAsync(string path) =>
        CallAsync<LocateChunksReply>(MessageKind.LocateChunks, new LocateChunksRequest { Path = path, Limit = 1000 });

    public Task<ClusterStatusReply> StatusAsync() => CallAsync<ClusterStatusReply>(MessageKind.ClusterStatus, new ClusterStatusRequest());

    // ---- Chunk servers

    /// <summary>A registered chunk server with nothing on it.</summary>
    public async Task<PlayedServer> JoinAsync(string host)
    {
        var server = new PlayedServer(this, host);
        Assert.Equal(Status.Ok, (await server.RegisterAsync()).Status);
        await server.ReportAllAsync();
        return server;
    }

    public async Task<PlayedServer[]> JoinAsync(int count)
    {
        var servers = new PlayedServer[count];
        for (int i = 0; i < count; i++)
            servers[i] = await JoinAsync($"cs{i}");
        return servers;
    }

    public Chunk ChunkOf(ChunkLocation location) => new(State.FindChunk(new ChunkHandle(location.Handle))!);

    /// <summary>What the master knows of a chunk, in plain values.</summary>
    public sealed class Chunk(Semel.Master.Chunks.Chunk chunk)
    {
        public ulong Version => chunk.Version;
        public ulong Reserved => chunk.Reserved;
        public ulong Primary => chunk.Primary.Value;
        public ulong[] Members => [.. chunk.Members.Select(m => m.Value)];
        public ulong[] Replicas => [.. chunk.Replicas.Select(m => m.Value)];
        public bool IsSealed => chunk.IsSealed;
    }
}
