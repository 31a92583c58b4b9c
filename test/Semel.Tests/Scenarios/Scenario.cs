using System.Text;
using Semel.Client;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;
using Xunit;

namespace Semel.Tests.Scenarios;

/// <summary>A scripted story on a simulated cluster: the real master, chunk servers and client library; the test decides what goes wrong and when.</summary>
internal sealed class Scenario
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private Scenario(ulong seed, ClusterShape shape)
    {
        World = new SimulatedWorld(seed, Environment.GetEnvironmentVariable("SEMEL_SCENARIO_TRACE") is { } file ? new StreamWriter(file) { AutoFlush = true } : null);
        Cluster = new SimulatedCluster(World, shape);
    }

    public SimulatedWorld World { get; }
    public SimulatedCluster Cluster { get; }
    public TimeProvider Time => Cluster.Environment.Time;

    /// <summary>Starts a cluster, plays the script, and fails if the script does, if a process meets a bug, or if the script does not end in time.</summary>
    public static void Play(Func<Scenario, Task> script, ClusterShape? shape = null, ulong seed = 1)
    {
        var scenario = new Scenario(seed, shape ?? new ClusterShape { ChunkCapacity = 64 << 10 });
        Task? played = null;
        scenario.Cluster.Start();
        scenario.Cluster.Environment.Post(_ => played = Story(), null);
        bool ended = scenario.World.RunUntil(() => played is { IsCompleted: true }, Limit, "the scenario to end");
        Assert.True(ended, scenario.World.Failure);
        played!.GetAwaiter().GetResult();

        async Task Story()
        {
            await scenario.Cluster.AllUpAsync();
            await script(scenario);
        }
    }

    public ScenarioClient NewClient(string name = "app")
    {
        var (process, wire) = Cluster.NewClientProcess(name);
        return new ScenarioClient(process, wire, Cluster.Master.Address);
    }

    public Task Delay(double milliseconds) => Task.Delay(TimeSpan.FromMilliseconds(milliseconds), Time);

    /// <summary>The file's last chunk, as the master knows it.</summary>
    public async Task<ChunkLocation> TailOf(string path)
    {
        var (process, wire) = Cluster.NewClientProcess("asks");
        return await process.Start(async () =>
        {
            while (true)
            {
                var result = await wire.LinkTo(Cluster.Master.Address).CallAsync(
                    MessageKind.LocateTail, new LocateTailRequest { Path = path }, Payload.Empty, TimeSpan.FromSeconds(5));
                if (result.IsAnswered && result.Answer<LocateTailReply>() is { Status: Status.Ok, Chunk: { } chunk })
                    return chunk;
                await Task.Delay(TimeSpan.FromMilliseconds(50), process.Time);
            }
        });
    }

    public async Task<SimulatedServer> PrimaryOf(string path) => Cluster.ServerAt((await TailOf(path)).Primary.Address);

    public async Task<SimulatedServer> SecondaryOf(string path)
    {
        var tail = await TailOf(path);
        return Cluster.ServerAt(tail.Members.First(m => m.ServerId != tail.Primary.ServerId).Address);
    }

    /// <summary>What a fresh client reads from start to end.</summary>
    public async Task<IReadOnlyList<string>> Records(string path) => (await NewClient("reads").Read(path)).Select(r => r.Text).ToList();

    /// <summary>Every replica of every chunk holds the same committed bytes.</summary>
    public async Task<FileImage> AssertReplicasIdentical(string path)
    {
        var (process, wire) = Cluster.NewClientProcess("audits");
        var image = await process.Start(() => new Auditor(Cluster, process, wire).ReadAsync(path));
        foreach (var chunk in image.Chunks)
            Assert.All(chunk.Replicas, replica => Assert.Equal(chunk.Replicas[0].Committed, replica.Committed));
        return image;
    }
}

/// <summary>A process that uses the client library. Its calls run inside that process.</summary>
internal sealed class ScenarioClient
{
    private SemelClient? _client;

    public ScenarioClient(SimulatedProcess process, IWire wire, string master)
    {
        Process = process;
        process.Post(_ => _client = new SemelClient(wire, master, new SemelClientOptions(), process.Time, process.Random, new SimulatedLogging(process)), null);
    }

    public SimulatedProcess Process { get; }

    public Task<T> Do<T>(Func<SemelClient, Task<T>> what) => Process.Start(() => what(_client!));

    public Task<bool> Create(string path, CreateOptions? options = null) => Do(client => client.CreateAsync(path, options));

    /// <summary>Without a name the writer is a passing one.</summary>
    public async Task<ScenarioWriter> OpenWriter(string path, string? name = "writer", Action<WriterOptions>? change = null)
    {
        var options = new WriterOptions { Name = name };
        change?.Invoke(options);
        return new ScenarioWriter(Process, await Do(client => client.OpenWriterAsync(path, options)));
    }

    public Task<List<(RecordPosition Position, string Text)>> Read(string path) => Do(async client =>
    {
        var found = new List<(RecordPosition, string)>();
        await foreach (var record in client.ReadRecordsAsync(path))
            found.Add((record.Position, Encoding.UTF8.GetString(record.Data.Span)));
        return found;
    });

    /// <summary>Follows the file for as long as the process lives; what it sees is added to the list.</summary>
    public List<string> Follow(string path)
    {
        var seen = new List<string>();
        Process.Start(async () =>
        {
            await foreach (var record in _client!.ReadRecordsAsync(path, new ReadOptions { Follow = true }))
                seen.Add(Encoding.UTF8.GetString(record.Data.Span));
        });
        return seen;
    }
}

/// <summary>A writer in a simulated process.</summary>
internal sealed class ScenarioWriter(SimulatedProcess process, RecordWriter writer)
{
    public ulong LastSequence => writer.LastSequence;
    public uint Epoch => writer.Epoch;
    public ulong Id => writer.WriterId;
    public string Name => writer.Name;

    public Task Close() => process.Start(async () =>
    {
        await writer.DisposeAsync();
        return true;
    });

    public Task<AppendResult> Append(string record) => process.Start(() => writer.AppendAsync(Encoding.UTF8.GetBytes(record)).AsTask());

    /// <summary>A record under a sequence of the caller's.</summary>
    public Task<AppendResult> Append(ulong sequence, string record) => process.Start(() => writer.AppendAsync(sequence, Encoding.UTF8.GetBytes(record)).AsTask());

    public ulong ComparableFrom => writer.ComparableFrom;

    public Task<IReadOnlyList<AppendResult>> AppendBatch(params string[] records) => process.Start(() =>
        writer.AppendBatchAsync(records.Select(r => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(r)).ToList()).AsTask());
}
