using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Cluster;

/// <summary>
/// A master that the protocol allows and nobody would want: it replaces primaries for no reason, leaves out members that are well, grants twice, forgets what
/// it was doing. It drives chunk servers into states that the real one, which is careful, rarely reaches. What a real master logs is simply kept here.
/// </summary>
internal sealed class HarshMaster : ICallHandler, IAsyncDisposable
{
    private static readonly TimeSpan ServerTimeout = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan Alive = TimeSpan.FromMilliseconds(900);

    private readonly SimulatedCluster _cluster;
    private readonly SimulatedProcess _process;
    private readonly IWire _wire;
    private readonly Memory _memory;
    private readonly SimulatedRandom _random;
    private readonly IListener _listener;
    private readonly SortedDictionary<ulong, long> _heardNs = [];
    private readonly SortedDictionary<ulong, ulong> _incarnations = [];
    private readonly SortedDictionary<(ulong Server, ulong Chunk), (uint Tail, long AskedNs)> _unconfirmed = [];     // logs that end in a SEAL whose fate the server does not know
    private readonly SortedSet<string> _busyFiles = new(StringComparer.Ordinal);
    private readonly SortedSet<ulong> _learning = [];     // chunks of which a server said that they are sealed, and the primary did not

    private HarshMaster(SimulatedCluster cluster, SimulatedProcess process, IWire wire, Memory memory)
    {
        (_cluster, _process, _wire, _memory, _random) = (cluster, process, wire, memory, process.Random.Fork());
        memory.Epoch++;
        memory.Nonce = _random.NextBits() | 1;
        _listener = wire.Listen(cluster.Master.Address, this);
    }

    /// <summary>A master for a cluster; all its incarnations share what they logged.</summary>
    public static StartNode For(SimulatedCluster cluster)
    {
        var memory = new Memory();
        return (process, _, wire) =>
        {
            var master = new HarshMaster(cluster, process, wire, memory);
            process.Start(master.MeddleAsync);
            return Task.FromResult(new RunningNode(master, null));
        };
    }

    public ValueTask DisposeAsync() => _listener.DisposeAsync();

    /// <inheritdoc cref="SimulatedCluster.Chunks"/>
    public IEnumerable<(ChunkHandle Handle, IReadOnlyList<SimulatedServer> Holders)> Chunks() => _memory.Files.Values.SelectMany(file => file.Chunks)
        .Select(c => (new ChunkHandle(c.Handle), (IReadOnlyList<SimulatedServer>)[.. c.Members.Select(m => _cluster.ServerAt(_memory.Servers[m]))]));

    public void Handle(IncomingCall call)
    {
        switch (call.Header)
        {
            case RegisterServerRequest r:
                call.Reply(Register(r));
                break;
            case HeartbeatRequest r:
                call.Reply(Heard(r));
                break;
            case CreateFileRequest r:
                call.Reply(Create(r));
                break;
            case RegisterWriterRequest r:
                call.Reply(RegisterWriter(r));
                break;
            case LookUpWriterRequest r:
                call.Reply(LookUpWriter(r));
                break;
            case LocateChunksRequest r:
                call.Reply(Locate(r));
                break;
            case SealedRequest r:
                call.Reply(Sealed(r));
                break;
            case StatRequest r:
                call.Reply(_memory.Files.TryGetValue(r.Path, out var found) ? Describe(found) : new StatReply { Status = Status.NotFound });
                break;
            case LocateTailRequest r:
                _process.Start(async () => call.Reply(await LocateTailAsync(r)));
                break;
            case SuspectRequest r:
                _process.Start(async () => call.Reply(await SuspectAsync(r)));
                break;
            default:
                call.Reply(NotServed.Reply(call.Kind, "The harsh master does not do such things."));
                break;
        }
    }

    // ---- Servers

    private RegisterServerReply Register(RegisterServerRequest request)
    {
        ulong id = request.ServerId != 0 ? request.ServerId : 0x1000ul + (ulong)_memory.Servers.Count + 1;
        if (request.ServerId == 0 && _memory.Servers.FirstOrDefault(s => s.Value == request.Address) is { Key: not 0 } known)
            id = known.Key;
        _memory.Servers[id] = request.Address;
        _heardNs[id] = _cluster.World.NowNs;
        _incarnations[id] = request.Incarnation;
        return new RegisterServerReply { Status = Status.Ok, ClusterId = "simulated", ServerId = id, MasterEpoch = _memory.Epoch, MasterNonce = _memory.Nonce, HeartbeatMs = 200 };
    }

    private HeartbeatReply Heard(HeartbeatRequest request)
    {
        ulong id = request.ServerId;
        if (!_incarnations.TryGetValue(id, out ulong incarnation) || incarnation != request.Incarnation)
            return new HeartbeatReply { Status = Status.Stale };
        _heardNs[id] = _cluster.World.NowNs;
        var reply = new HeartbeatReply { Status = Status.Ok, MasterEpoch = _memory.Epoch, Elected = true };
        foreach (var result in request.Results)
        {
            if (result.Status == Status.Ok && _memory.Clones.Remove(result.CommandId, out var clone) && !clone.Chunk.Members.Contains(clone.Server))
                clone.Chunk.Members.Add(clone.Server);
        }
        foreach (var report in request.Chunks)
        {
            if (_memory.Chunk(report.Handle) is not { } chunk)
                continue;
            if (report.Sealed && chunk.SealedLength is { } length && report.Tail != length)
                _cluster.World.Fail($"server {id:x} says that chunk {chunk.Handle:x} is sealed at {report.Tail}, it was sealed at {length}");
            if (report.Sealed && chunk.SealedLength is null && _learning.Add(chunk.Handle))
                _process.Start(() => LearnSealAsync(chunk));
            if (report.EndsInSeal && !report.Sealed)
                _unconfirmed[(id, report.Handle)] = (report.Tail, 0);
            else
                _unconfirmed.Remove((id, report.Handle));
        }
        foreach (var (key, (tail, asked)) in _unconfirmed.Where(u => u.Key.Server == id).ToList())
        {
            if (_memory.Chunk(key.Chunk) is not { } sealedChunk || sealedChunk.SealedLength != tail || _cluster.World.NowNs < asked + 500_000_000)
                continue;
            _unconfirmed[key] = (tail, _cluster.World.NowNs);
            reply.Commands.Add(new Command { CommandId = ++_memory.Commands, ConfirmSeal = new ConfirmSeal { Handle = key.Chunk, Version = sealedChunk.Version, Length = tail } });
        }
        foreach (var file in _memory.Files.Values)
        {
            foreach (var chunk in file.Chunks)
            {
                if (chunk.SealedLength is null && chunk.Primary == id)
                    reply.Leases.Add(new LeaseRenewal { Handle = chunk.Handle, Version = chunk.Version, LeaseMs = 1500 });
                else if (chunk.SealedLength is not null && chunk.Members.Count < file.Replicas && !chunk.Members.Contains(id) && !_random.OneIn(3))
                    reply.Commands.Add(Clone(file, chunk, id));
            }
        }
        return reply;
    }

    /// <summary>The primary's word was lost: a new view says it again.</summary>
    private async Task LearnSealAsync(ChunkState chunk)
    {
        var (path, file) = _memory.Files.First(f => f.Value.Chunks.Contains(chunk));
        while (true)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(300), _process.Time);
            if (chunk.SealedLength is not null)
                break;
            if (!_busyFiles.Add(path))
                continue;
            try
            {
                await ChangeViewAsync(file, chunk, accused: 0);
            }
            finally
            {
                _busyFiles.Remove(path);
            }
        }
        _learning.Remove(chunk.Handle);
    }

    private Command Clone(FileState file, ChunkState chunk, ulong server)
    {
        var clone = new CloneChunk
        {
            Handle = chunk.Handle,
            FileId = file.Id,
            Index = chunk.Index,
            Version = chunk.NextVersion,     // above every promise that a former member may have given
            Length = chunk.SealedLength!.Value,
            Capacity = _cluster.Shape.ChunkCapacity,
            Durability = file.Durability,
            CreationId = chunk.CreationId,
        };
        clone.Sources.AddRange(chunk.Members.Select(Address));
        ulong command = ++_memory.Commands;
        _memory.Clones[command] = (chunk, server);
        return new Command { CommandId = command, CloneChunk = clone };
    }

    private ServerAddress Address(ulong server) => new() { ServerId = server, Address = _memory.Servers[server] };

    private bool IsAlive(ulong server) => _heardNs.TryGetValue(server, out long heard) && _cluster.World.NowNs - heard < Alive.Ticks * 100;

    // ---- Files

    private CreateFileReply Create(CreateFileRequest request)
    {
        if (_memory.Files.TryGetValue(request.Path, out var file))
            return new CreateFileReply { Status = request.OrOpen ? Status.Ok : Status.Conflict, FileId = file.Id };
        file = new FileState(
            (ulong)_memory.Files.Count + 1, request.Replicas == 0 ? _cluster.Shape.Replicas : (int)request.Replicas,
            request.Durability == Durability.Unspecified ? Durability.Group : request.Durability);
        _memory.Files.Add(request.Path, file);
        return new CreateFileReply { Status = Status.Ok, FileId = file.Id, Created = true };
    }

    private StatReply Describe(FileState file) => new()
    {
        Status = Status.Ok,
        FileId = file.Id,
        Replicas = (uint)file.Replicas,
        Durability = file.Durability,
        ChunkCapacity = _cluster.Shape.ChunkCapacity,
        Chunks = (ulong)file.Chunks.Count,
    };

    private RegisterWriterReply RegisterWriter(RegisterWriterRequest request)
    {
        if (!_memory.Files.TryGetValue(request.Path, out var file))
            return new RegisterWriterReply { Status = Status.NotFound };
        var (id, epoch) = file.Writers.TryGetValue(request.Name, out var known) ? (known.Id, known.Epoch + 1) : ((ulong)++_memory.Writers, 1u);
        file.Writers[request.Name] = (id, epoch);
        return new RegisterWriterReply { Status = Status.Ok, Writer = id, Epoch = epoch, FileId = file.Id };
    }

    private LookUpWriterReply LookUpWriter(LookUpWriterRequest request)
    {
        if (!_memory.Files.TryGetValue(request.Path, out var file))
            return new LookUpWriterReply { Status = Status.NotFound };
        var (id, epoch) = file.Writers.GetValueOrDefault(request.Name);
        return new LookUpWriterReply { Status = Status.Ok, Writer = id, Epoch = epoch, FileId = file.Id };
    }

    private LocateChunksReply Locate(LocateChunksRequest request)
    {
        if (!_memory.Files.TryGetValue(request.Path, out var file))
            return new LocateChunksReply { Status = Status.NotFound };
        var reply = new LocateChunksReply
        {
            Status = Status.Ok,
            FileId = file.Id,
            ChunkCapacity = _cluster.Shape.ChunkCapacity,
            ChunkCount = (ulong)file.Chunks.Count,
        };
        reply.Chunks.AddRange(file.Chunks.Skip((int)request.FirstIndex).Take((int)request.Limit).Select(Describe));
        return reply;
    }

    private ChunkLocation Describe(ChunkState chunk)
    {
        var location = new ChunkLocation
        {
            Handle = chunk.Handle,
            Index = chunk.Index,
            Version = chunk.Version,
            Primary = Address(chunk.Primary),
            Sealed = chunk.SealedLength is not null,
            SealedLength = chunk.SealedLength ?? 0,
        };
        location.Members.AddRange(chunk.Members.Select(Address));
        return location;
    }

    private async Task<LocateTailReply> LocateTailAsync(LocateTailRequest request)
    {
        if (!_memory.Files.TryGetValue(request.Path, out var file))
            return new LocateTailReply { Status = Status.NotFound };
        if (_busyFiles.Add(request.Path))
        {
            try
            {
                if ((file.Chunks.Count == 0 && request.Create) || file.Chunks is [.., { SealedLength: not null }])
                    await MakeChunkAsync(file);
                else if (file.Chunks.Count > 0 && request.SuspectHandle == file.Chunks[^1].Handle && request.SuspectVersion == file.Chunks[^1].Version)
                    await (_random.Chance(_cluster.Regrants) ? GrantAsync(file, file.Chunks[^1]) : ChangeViewAsync(file, file.Chunks[^1], accused: 0));
            }
            finally
            {
                _busyFiles.Remove(request.Path);
            }
        }
        else
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), _process.Time);
        }
        var reply = new LocateTailReply { Status = Status.Ok, FileId = file.Id, ChunkCapacity = _cluster.Shape.ChunkCapacity, Durability = file.Durability };
        if (file.Chunks.Count > 0)
            reply.Chunk = Describe(file.Chunks[^1]);
        else if (request.Create)
            reply.Status = Status.Unavailable;
        return reply;
    }

    // ---- Chunks

    private async Task MakeChunkAsync(FileState file)
    {
        int before = file.Chunks.Count;
        var previous = before > 0 ? file.Chunks[^1] : null;
        var request = new CreateChunkRequest
        {
            MasterEpoch = _memory.Epoch,
            MasterNonce = _memory.Nonce,
            CreationId = _random.NextBits() | 1,
            Handle = ++_memory.Handles,
            FileId = file.Id,
            Index = (ulong)before,
            Capacity = _cluster.Shape.ChunkCapacity,
            Durability = file.Durability,
            Base = new ChunkBase(),
        };
        if (previous is not null)
        {
            request.Base = new ChunkBase { PreviousHandle = previous.Handle, PreviousLength = previous.SealedLength!.Value, Digest = previous.NextBase };
            request.Base.Sources.AddRange(previous.Members.Select(Address));
        }
        var candidates = _memory.Servers.Keys.Where(IsAlive).ToList();
        while (candidates.Count > file.Replicas)
            candidates.RemoveAt(_random.Below(candidates.Count));
        var made = new List<ulong>();
        var replies = await Task.WhenAll(candidates.Select(server => CallAsync<CreateChunkReply>(server, MessageKind.CreateChunk, new CreateChunkRequest(request) { ServerId = server }, ServerTimeout * 10)));
        for (int i = 0; i < candidates.Count; i++)
        {
            if (replies[i] is { Status: Status.Ok })
                made.Add(candidates[i]);
        }
        if (made.Count < Math.Min(file.Replicas, _cluster.Shape.MinMembers) || file.Chunks.Count != before)
            return;
        var chunk = new ChunkState(request.Handle, request.Index, request.CreationId) { Version = 1, NextVersion = 1, Members = made, Primary = _random.Pick(made) };
        file.Chunks.Add(chunk);
        await GrantAsync(file, chunk);
    }

    /// <summary>A version is logged before the first PROMISE leaves; the configuration before the GRANT. Only who promised can be a member.</summary>
    private async Task ChangeViewAsync(FileState file, ChunkState chunk, ulong accused)
    {
        ulong version = ++chunk.NextVersion;
        _cluster.World.Reached("view change");
        var members = chunk.Members.ToList();
        var request = new PromiseRequest { MasterEpoch = _memory.Epoch, MasterNonce = _memory.Nonce, Handle = chunk.Handle, Version = version };
        var replies = await Task.WhenAll(members.Select(member => CallAsync<PromiseReply>(member, MessageKind.Promise, request, ServerTimeout)));
        var promised = new List<ulong>();
        for (int i = 0; i < members.Count; i++)
        {
            if (replies[i] is { Status: Status.Ok, Suspect: false, Damaged: false } && members[i] != accused)
                promised.Add(members[i]);
        }
        if (!_cluster.IsHealed && _random.OneIn(6) && promised.Count > 1)
        {
            _cluster.World.Reached("left out a member that was well");
            promised.RemoveAt(_random.Below(promised.Count));
        }
        if (promised.Count == 0 || version != chunk.NextVersion || chunk.SealedLength is not null)
            return;
        chunk.Version = version;
        chunk.Members = promised;
        chunk.Primary = _random.Pick(promised);
        await GrantAsync(file, chunk);
    }

    private async Task GrantAsync(FileState file, ChunkState chunk)
    {
        var request = new GrantRequest
        {
            MasterEpoch = _memory.Epoch,
            MasterNonce = _memory.Nonce,
            Handle = chunk.Handle,
            CreationId = chunk.CreationId,
            Version = chunk.Version,
            LeaseMs = 1500,
            MinMembers = (uint)Math.Min(file.Replicas, _cluster.Shape.MinMembers),
            Seal = chunk.Members.Count < file.Replicas,
        };
        request.Members.AddRange(chunk.Members.Select(Address));
        await CallAsync<GrantReply>(chunk.Primary, MessageKind.Grant, request, ServerTimeout);
    }

    private SealedReply Sealed(SealedRequest request)
    {
        if (_memory.Chunk(request.Handle) is not { } chunk)
            return new SealedReply { Status = Status.NotFound };
        if (chunk.SealedLength is { } length && (length != request.Length || chunk.NextBase != request.BaseDigest))
            _cluster.World.Fail($"chunk {chunk.Handle:x} was sealed at {length} with base {chunk.NextBase:x8} and now at {request.Length} with base {request.BaseDigest:x8}");
        if (request.Version != chunk.Version)
            return new SealedReply { Status = Status.Stale };
        _cluster.World.Reached("roll-over");
        (chunk.SealedLength, chunk.NextBase) = (request.Length, request.BaseDigest);
        return new SealedReply { Status = Status.Ok };
    }

    private async Task<SuspectReply> SuspectAsync(SuspectRequest request)
    {
        if (_memory.Chunk(request.Handle) is not { SealedLength: null } chunk)
            return new SuspectReply { Status = Status.NotFound };
        if (request.Version != chunk.Version || request.Sender != chunk.Primary)
            return new SuspectReply { Status = Status.Stale };
        var (path, file) = _memory.Files.First(f => f.Value.Chunks.Contains(chunk));
        if (_busyFiles.Add(path))
        {
            try
            {
                await ChangeViewAsync(file, chunk, request.Member);
            }
            finally
            {
                _busyFiles.Remove(path);
            }
        }
        return new SuspectReply { Status = Status.Ok };
    }

    /// <summary>Replaces primaries for no reason.</summary>
    private async Task MeddleAsync()
    {
        while (true)
        {
            await Task.Delay(_random.Between(TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(1500)), _process.Time);
            if (_cluster.IsHealed || _memory.Files.Count == 0)
                continue;
            var (path, file) = _memory.Files.ElementAt(_random.Below(_memory.Files.Count));
            if (file.Chunks is not [.., { SealedLength: null } chunk] || !_busyFiles.Add(path))
                continue;
            try
            {
                await (_random.Chance(_cluster.Regrants) ? GrantAsync(file, chunk) : ChangeViewAsync(file, chunk, accused: 0));
            }
            finally
            {
                _busyFiles.Remove(path);
            }
        }
    }

    private async Task<T?> CallAsync<T>(ulong server, MessageKind kind, IMessage request, TimeSpan timeout) where T : class, IMessage
    {
        var result = await _wire.LinkTo(_memory.Servers[server]).CallAsync(kind, request, Payload.Empty, timeout);
        result.Payload.Release();
        return result.IsAnswered ? result.Answer<T>() : null;
    }

    /// <summary>What a real master has in its log.</summary>
    internal sealed class Memory
    {
        public ulong Epoch { get; set; }

        /// <summary>Of the epoch: chunk servers serve no other master that began it.</summary>
        public ulong Nonce { get; set; }
        public ulong Handles { get; set; } = 0xc000;
        public ulong Commands { get; set; }
        public int Writers { get; set; }
        public SortedDictionary<ulong, string> Servers { get; } = [];
        public SortedDictionary<string, FileState> Files { get; } = new(StringComparer.Ordinal);
        public SortedDictionary<ulong, (ChunkState Chunk, ulong Server)> Clones { get; } = [];

        public ChunkState? Chunk(ulong handle) => Files.Values.SelectMany(file => file.Chunks).FirstOrDefault(chunk => chunk.Handle == handle);
    }

    internal sealed class FileState(ulong id, int replicas, Durability durability)
    {
        public ulong Id => id;
        public int Replicas => replicas;
        public Durability Durability => durability;
        public List<ChunkState> Chunks { get; } = [];
        public SortedDictionary<string, (ulong Id, uint Epoch)> Writers { get; } = new(StringComparer.Ordinal);
    }

    internal sealed class ChunkState(ulong handle, ulong index, ulong creationId)
    {
        public ulong Handle => handle;
        public ulong Index => index;
        public ulong CreationId => creationId;
        public ulong Version { get; set; }
        public ulong NextVersion { get; set; }
        public List<ulong> Members { get; set; } = [];
        public ulong Primary { get; set; }
        public uint? SealedLength { get; set; }
        public uint NextBase { get; set; }
    }
}
