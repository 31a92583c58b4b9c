using Google.Protobuf;
using Semel.ChunkServer;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;

namespace Semel.Tests.ChunkServer;

/// <summary>
/// Real chunk servers in the simulation; the test plays the master and the client, message by message.
/// </summary>
internal sealed class ScriptedCluster : ICallHandler
{
    public const ulong Handle = 77;
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(1);
    private readonly SimulatedProcess _script;
    private readonly SimulatedWire _wire;
    private readonly SimulatedDisk[] _disks;
    private readonly SimulatedProcess[] _processes;

    public ScriptedCluster(ulong seed = 1, int servers = 3)
    {
        World = new SimulatedWorld(seed);
        Network = new SimulatedNetwork(World);
        _script = World.StartProcess("script");
        _wire = new SimulatedWire(Network, _script, "master");
        _script.Start(() =>
        {
            _wire.Listen("0.0.0.0:7070", this);
            return Task.CompletedTask;
        });
        _disks = [.. Enumerable.Range(0, servers).Select(i => new SimulatedDisk(World, $"disk{i}"))];
        _processes = new SimulatedProcess[servers];
        for (int i = 0; i < servers; i++)
            Start(i);
    }

    public SimulatedWorld World { get; }
    public SimulatedNetwork Network { get; }
    /// <summary>Of the master that the script plays, as servers hear when they register.</summary>
    public ulong MasterEpoch { get; set; } = 1;
    public ulong MasterNonce { get; set; }

    /// <summary>What the master says of itself in its answers to heartbeats.</summary>
    public bool IsElected { get; set; } = true;
    public List<SealedRequest> Sealed { get; } = [];
    public List<SuspectRequest> Suspected { get; } = [];

    /// <summary>Reports of all servers, in the order in which they came.</summary>
    public List<(ulong Server, ChunkReport Report)> Reported { get; } = [];
    private readonly List<(ulong Server, Command Command)> _orders = [];
    private readonly Dictionary<ulong, CommandResult> _results = [];
    public ServerAddress[] Everyone => [.. Enumerable.Range(0, _disks.Length).Select(Server)];
    public SimulatedDisk Disk(int server) => _disks[server];

    public static ServerAddress Server(int i) => new() { ServerId = (ulong)i + 1, Address = $"cs{i}:7071" };

    public void Start(int i)
    {
        var process = _processes[i] = World.StartProcess($"cs{i}");
        process.Start(async () => await ChunkServerNode.StartAsync(
            new ChunkServerOptions { MasterAddress = "master:7070", BindAddress = "0.0.0.0:7071" },
            _disks[i].OpenFor(process), new SimulatedWire(Network, process, $"cs{i}"), process.Time, process.Random, new SimulatedLogging(process), default));
    }

    public void Kill(int i, bool losePower = false)
    {
        _processes[i].Kill();
        if (losePower)
            _disks[i].LosePower();
    }

    public void Pause(int i) => _processes[i].Pause();
    public void Resume(int i) => _processes[i].Resume();

    /// <summary>Runs the script to its end.</summary>
    public void Run(Func<Task> script)
    {
        var done = _script.Start(async () =>
        {
            foreach (var server in Everyone)
                await UntilAsync(async () => (await CallAsync<InspectChunkReply>(server, MessageKind.InspectChunk, new InspectChunkRequest())) is not null);
            await script();
            return true;
        });
        Assert.True(World.RunUntil(() => done.IsCompleted, TimeSpan.FromMinutes(5), "the script"), World.Failure);
        Assert.Null(done.Exception);
    }

    public async Task CreateAsync(uint capacity = ChunkLimits.MinCapacity, Durability durability = Durability.Group, ulong handle = Handle, ChunkBase? from = null, params int[] on)
    {
        foreach (int i in on.Length > 0 ? on : [.. Enumerable.Range(0, _disks.Length)])
        {
            var reply = await CallAsync<CreateChunkReply>(Server(i), MessageKind.CreateChunk, new CreateChunkRequest
            {
                MasterEpoch = 1,
                Handle = handle,
                FileId = 1,
                Index = from is null ? 0u : 1u,
                Capacity = capacity,
                Durability = durability,
                Base = from,
            });
            Assert.Equal(Status.Ok, reply!.Status);
        }
    }

    public async Task<GrantReply?> GrantAsync(int primary, ulong version, int[]? members = null, bool seal = false, ulong handle = Handle, uint leaseMs = 600_000)
    {
        var request = new GrantRequest { MasterEpoch = 1, Handle = handle, Version = version, LeaseMs = leaseMs, MinMembers = 1, Seal = seal };
        request.Members.AddRange(members is null ? Everyone : members.Select(Server));
        return await CallAsync<GrantReply>(Server(primary), MessageKind.Grant, request);
    }

    public Task<PromiseReply?> PromiseAsync(int server, ulong version) =>
        CallAsync<PromiseReply>(Server(server), MessageKind.Promise, new PromiseRequest { MasterEpoch = 1, Handle = Handle, Version = version });

    public async Task<AppendReply> InitAsync(int primary, ulong writer, uint epoch, ulong handle = Handle)
    {
        AppendReply? reply = null;
        await UntilAsync(async () =>
        {
            reply = await CallAsync<AppendReply>(Server(primary), MessageKind.InitWriter, new InitWriterRequest { Handle = handle, Writer = writer, Epoch = epoch });
            return reply is not null and not { Status: AppendStatus.Retry };
        });
        return reply!;
    }

    public Task<AppendReply?> AppendAsync(int primary, ulong writer, uint epoch, ulong first, string record, ulong handle = Handle, ulong knownBallot = 0) =>
        AppendAsync(primary, writer, epoch, first, System.Text.Encoding.ASCII.GetBytes(record), handle, knownBallot);

    public Task<AppendReply?> AppendAsync(int primary, ulong writer, uint epoch, ulong first, byte[] record, ulong handle = Handle, ulong knownBallot = 0)
    {
        var payload = new byte[RecordBatch.Footprint(record.Length)];
        RecordBatch.Write(payload, record);
        return CallAsync<AppendReply>(Server(primary), MessageKind.Append, new AppendRequest
        {
            Handle = handle,
            Writer = writer,
            Epoch = epoch,
            FirstSequence = first,
            RecordCount = 1,
            PayloadCrc = Crc32C.Compute(payload),
            KnownBallot = knownBallot,
        }, payload);
    }

    /// <summary>The committed bytes that a replica shows.</summary>
    public async Task<byte[]> ReadAsync(int server, ulong handle = Handle)
    {
        var bytes = new List<byte>();
        while (true)
        {
            var result = await _wire.LinkTo(Server(server).Address).CallAsync(MessageKind.ReadFrames,
                new ReadFramesRequest { Handle = handle, Offset = (uint)bytes.Count, MaxBytes = 1 << 20 }, Payload.Empty, CallTimeout);
            Assert.True(result.IsAnswered);
            Assert.Equal(ReadStatus.ReadOk, result.Answer<ReadFramesReply>().Status);
            if (result.Payload.Length == 0)
                return [.. bytes];
            bytes.AddRange(result.Payload.Span);
            result.Payload.Release();
        }
    }

    public async Task<string[]> RecordsAsync(int server, ulong handle = Handle)
    {
        var reader = new FrameReader(await ReadAsync(server, handle), 0, null);
        var records = new List<string>();
        while (reader.Read())
        {
            var rest = reader.Payload;
            while (reader.Header.Kind == FrameKind.Data && RecordBatch.TryTake(ref rest, out var record))
                records.Add(System.Text.Encoding.ASCII.GetString(record));
        }
        Assert.Null(reader.Fault);
        return [.. records];
    }

    public Task<InspectChunkReply?> InspectAsync(int server, ulong handle = Handle) =>
        CallAsync<InspectChunkReply>(Server(server), MessageKind.InspectChunk, new InspectChunkRequest { Handle = handle });

    /// <summary>Has a server carry out a command of the master, and waits for the result.</summary>
    public async Task<CommandResult> OrderAsync(int server, Command command)
    {
        command.CommandId = (ulong)_orders.Count + 1;
        _orders.Add((Server(server).ServerId, command));
        await UntilAsync(() => Task.FromResult(_results.ContainsKey(command.CommandId)));
        return _results[command.CommandId];
    }

    public async Task UntilAsync(Func<Task<bool>> condition)
    {
        while (!await condition())
            await Task.Delay(TimeSpan.FromMilliseconds(5), _script.Time);
    }

    public Task PassAsync(TimeSpan time) => Task.Delay(time, _script.Time);

    public async Task<T?> CallAsync<T>(ServerAddress server, MessageKind kind, IMessage request, byte[]? payload = null) where T : class, IMessage
    {
        var result = await _wire.LinkTo(server.Address).CallAsync(kind, request, Payload.CopyOf(payload), CallTimeout);
        result.Payload.Release();
        return result.IsAnswered ? result.Answer<T>() : null;
    }

    void ICallHandler.Handle(IncomingCall call)
    {
        switch (call.Header)
        {
            case RegisterServerRequest register:
                call.Reply(new RegisterServerReply
                {
                    Status = Status.Ok,
                    ClusterId = "scripted",
                    ServerId = ulong.Parse(register.Address.AsSpan(2, register.Address.IndexOf(':') - 2)) + 1,
                    MasterEpoch = MasterEpoch,
                    MasterNonce = MasterNonce,
                    HeartbeatMs = 100,
                });
                break;
            case SealedRequest request:
                Sealed.Add(request);
                call.Reply(new SealedReply { Status = Status.Ok });
                break;
            case SuspectRequest request:
                Suspected.Add(request);
                call.Reply(new SuspectReply { Status = Status.Ok });
                break;
            case HeartbeatRequest beat:
                Reported.AddRange(beat.Chunks.Select(report => (beat.ServerId, report)));
                foreach (var result in beat.Results)
                    _results[result.CommandId] = result;
                var reply = new HeartbeatReply { Status = Status.Ok, MasterEpoch = MasterEpoch, Elected = IsElected };
                reply.Commands.AddRange(_orders.Where(o => o.Server == beat.ServerId && !_results.ContainsKey(o.Command.CommandId)).Select(o => o.Command));
                call.Reply(reply);
                break;
        }
    }
}
