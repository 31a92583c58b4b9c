using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Client;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;

namespace Semel.Tests.Client;

/// <summary>What becomes of one call on the wire.</summary>
internal enum Fate
{
    /// <summary>It is carried out and answered.</summary>
    Served,

    /// <summary>It is carried out; the connection ends before the answer comes.</summary>
    AnswerLost,

    /// <summary>It never arrives, and the connection is seen to end.</summary>
    RequestLost,

    /// <summary>It never arrives, and nobody says so.</summary>
    Swallowed,

    /// <summary>It is carried out; the answer never comes.</summary>
    AnswerSwallowed,
}

/// <summary>
/// A master and one chunk's worth of servers in memory, for one file, which play the protocol by its rules except where a test says otherwise. In virtual time:
/// a call takes 1 ms each way.
/// </summary>
internal sealed class PretendCluster : IWire
{
    public const string Path = "/f";
    public const ulong FileId = 5;
    public const string Master = "master:7070";
    private static readonly TimeSpan OneWay = TimeSpan.FromMilliseconds(1);

    private readonly SortedDictionary<ulong, WriterState> _writers = [];
    private readonly SortedDictionary<string, ulong> _names = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, Link> _links = new(StringComparer.Ordinal);
    private readonly SimulatedProcess _process;

    public PretendCluster(ulong seed = 1)
    {
        World = new SimulatedWorld(seed);
        _process = World.StartProcess("client");
        Chunks.Add(new PretendChunk(new ChunkHandle(100), 0));
    }

    public SimulatedWorld World { get; }
    public TimeProvider Time => _process.Time;
    public SemelClientOptions Options { get; } = new();
    public uint Capacity { get; set; } = ChunkLimits.MinCapacity;
    public string[] Servers { get; set; } = ["cs0:1", "cs1:1", "cs2:1"];
    public List<PretendChunk> Chunks { get; } = [];
    public PretendChunk Last => Chunks[^1];

    /// <summary>Everything that was sent, in order; headers as they were then.</summary>
    public List<(string Address, MessageKind Kind, IMessage Header, byte[] Payload)> Calls { get; } = [];

    public IEnumerable<AppendRequest> Appends => Calls.Select(c => c.Header).OfType<AppendRequest>();
    public IEnumerable<LocateTailRequest> TailQuestions => Calls.Select(c => c.Header).OfType<LocateTailRequest>();

    /// <summary>The most appends that waited for an answer at the same time.</summary>
    public int MostInFlight { get; private set; }
    private int _inFlight;

    // ---- What a test says otherwise

    /// <summary>Requests overtake each other on the way, by up to this.</summary>
    public TimeSpan Disorder { get; set; }

    public Func<MessageKind, IMessage, Fate> FateOf { get; set; } = (_, _) => Fate.Served;
    public Func<IMessage, TimeSpan> ExtraDelayOf { get; set; } = _ => TimeSpan.Zero;
    public Func<string, IMessage, IMessage?> AnswerInstead { get; set; } = (_, _) => null;
    public Func<string, byte[], byte[]> DistortRead { get; set; } = (_, bytes) => bytes;
    public Func<string, bool> IsSettled { get; set; } = _ => true;

    public void Run(Func<SemelClient, Task> script)
    {
        var done = _process.Start(async () =>
        {
            await using var client = new SemelClient(this, Master, Options, Time, _process.Random, NullLoggerFactory.Instance);
            await script(client);
            return true;
        });
        Assert.True(World.RunUntil(() => done.IsCompleted, TimeSpan.FromMinutes(10), "the script"), World.Failure);
        done.GetAwaiter().GetResult();
    }

    public Task Delay(int milliseconds) => Task.Delay(TimeSpan.FromMilliseconds(milliseconds), Time);

    /// <summary>The records in the file, in order.</summary>
    public List<(ulong Writer, ulong Sequence, string Text)> Records()
    {
        var records = new List<(ulong, ulong, string)>();
        foreach (var chunk in Chunks)
        {
            var reader = new FrameReader(chunk.Bytes, 0, FrameHeader.ChainSeed(chunk.Handle));
            while (reader.Read())
            {
                var rest = reader.Payload;
                for (ulong i = 0; RecordBatch.TryTake(ref rest, out var record); i++)
                    records.Add((reader.Header.Writer.Value, reader.Header.FirstSequence + i, System.Text.Encoding.UTF8.GetString(record)));
            }
            Assert.Null(reader.Fault);
        }
        return records;
    }

    public string[] Texts() => [.. Records().Select(r => r.Text)];

    /// <summary>Seals the last chunk and makes the next one.</summary>
    public void RollOver()
    {
        Last.Append(new FrameHeader { Kind = FrameKind.Seal }, []);
        Last.IsSealed = true;
        Chunks.Add(new PretendChunk(new ChunkHandle(Last.Handle.Value + 1), Last.Index + 1));
    }

    /// <summary>As after the loss of a primary: a new version and another primary.</summary>
    public void ChangeView()
    {
        Last.Ballot = Ballot.OfVersion(Last.Ballot.Version + 1);
        Last.Primary = (Last.Primary + 1) % Servers.Length;
    }

    public void Fence(ulong writer) => _writers[writer].Epoch++;
    public void Forget(ulong writer) => _writers.Remove(writer);
    public void ForgetPlaces(ulong writer) => _writers[writer].Places.Clear();
    public void Rewind(ulong writer, ulong last) => _writers[writer].Last = last;

    // ---- The wire

    public ILink LinkTo(string address)
    {
        if (!_links.TryGetValue(address, out var link))
            _links[address] = link = new Link(this, address);
        return link;
    }

    public IListener Listen(string address, ICallHandler handler) => throw new NotSupportedException();

    private sealed class Link(PretendCluster cluster, string address) : ILink
    {
        public string Address => address;

        public async ValueTask<CallResult> CallAsync(MessageKind kind, IMessage header, Payload payload, TimeSpan timeout, CancellationToken cancellation)
        {
            byte[] bytes = payload.Span.ToArray();
            payload.Release();
            cluster.Calls.Add((address, kind, header, bytes));
            bool isAppend = header is AppendRequest;
            if (isAppend)
                cluster.MostInFlight = Math.Max(cluster.MostInFlight, ++cluster._inFlight);
            try
            {
                return await cluster.CarryAsync(address, kind, header, bytes).WaitAsync(timeout, cluster.Time, cancellation);
            }
            catch (TimeoutException)
            {
                return CallResult.Failed(CallOutcome.TimedOut, "no answer");
            }
            catch (OperationCanceledException)
            {
                return CallResult.Failed(CallOutcome.Canceled, "cancelled");
            }
            finally
            {
                if (isAppend)
                    cluster._inFlight--;
            }
        }
    }

    private async Task<CallResult> CarryAsync(string address, MessageKind kind, IMessage header, byte[] payload)
    {
        var fate = FateOf(kind, header);
        await TravelAsync(address);
        if (fate == Fate.RequestLost)
            return CallResult.Failed(CallOutcome.ConnectionLost, "the connection ended");
        if (fate == Fate.Swallowed)
            await Never();
        await Task.Delay(ExtraDelayOf(header), Time);
        var answerPayload = Payload.Empty;
        var answer = AnswerInstead(address, header) ?? await Serve(address, header, payload, p => answerPayload = p);
        if (fate == Fate.AnswerSwallowed)
            await Never();
        await Task.Delay(Disorder > TimeSpan.Zero ? OneWay + (Disorder * _process.Random.NextDouble()) : OneWay, Time);
        return fate == Fate.AnswerLost
            ? CallResult.Failed(CallOutcome.ConnectionLost, "the connection ended")
            : new CallResult(CallOutcome.Answered, answer, answerPayload, null);
    }

    /// <summary>To the server; in order, unless there is disorder.</summary>
    private async Task TravelAsync(string address)
    {
        if (Disorder > TimeSpan.Zero)
        {
            await Task.Delay(OneWay + (Disorder * _process.Random.NextDouble()), Time);
            return;
        }
        var before = _lastArrivals.GetValueOrDefault(address, Task.CompletedTask);
        var arrival = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _lastArrivals[address] = arrival.Task;
        await Task.Delay(OneWay, Time);
        await before;
        arrival.SetResult();
    }

    private readonly SortedDictionary<string, Task> _lastArrivals = new(StringComparer.Ordinal);

    private static Task Never() => new TaskCompletionSource().Task;

    private async Task<IMessage> Serve(string address, IMessage header, byte[] payload, Action<Payload> withPayload) => header switch
    {
        RegisterWriterRequest r => Register(r),
        RetireWriterRequest => new RetireWriterReply { Status = Status.NotFound },
        LocateTailRequest r => Locate(r),
        LocateChunksRequest r => LocateChunks(r),
        InitWriterRequest r => Init(address, r),
        AppendRequest r => Append(address, r, payload),
        ReadFramesRequest r => await ReadAsync(address, r, withPayload),
        InspectChunkRequest r => Inspect(address, r),
        ListReplicasRequest r => List(r),
        FetchBaseRequest => new FetchBaseReply { Status = Status.NotFound },
        StatRequest r => r.Path == Path ? new StatReply { Status = Status.Ok, FileId = 5, Replicas = (uint)Servers.Length } : new StatReply { Status = Status.NotFound },
        ClusterStatusRequest => ClusterStatus(),
        IdentifyWritersRequest r => Identify(r),
        _ => throw new NotSupportedException(header.Descriptor.Name),
    };

    // ---- The master

    private RegisterWriterReply Register(RegisterWriterRequest request)
    {
        if (!_names.TryGetValue(request.Name, out ulong id) || id == request.InsteadOf)
        {
            id = (ulong)Registered.Count + 1;
            _names[request.Name] = id;
        }
        Registered[id] = Registered.GetValueOrDefault(id) + 1;
        return new RegisterWriterReply { Status = Status.Ok, Writer = id, Epoch = Registered[id], FileId = FileId };
    }

    public SortedDictionary<ulong, uint> Registered { get; } = [];

    private LocateTailReply Locate(LocateTailRequest request) => request.Path == Path
        ? new LocateTailReply { Status = Status.Ok, FileId = FileId, ChunkCapacity = Capacity, Durability = Durability.Group, Chunk = LocationOf(Last) }
        : new LocateTailReply { Status = Status.NotFound };

    private LocateChunksReply LocateChunks(LocateChunksRequest request)
    {
        if (request.Path != Path)
            return new LocateChunksReply { Status = Status.NotFound };
        var reply = new LocateChunksReply { Status = Status.Ok, FileId = FileId, ChunkCapacity = Capacity, ChunkCount = (ulong)Chunks.Count };
        reply.Chunks.AddRange(Chunks.Skip((int)request.FirstIndex).Take((int)request.Limit).Select(LocationOf));
        return reply;
    }

    public ChunkLocation LocationOf(PretendChunk chunk)
    {
        var location = new ChunkLocation
        {
            Handle = chunk.Handle.Value,
            Index = chunk.Index,
            Version = chunk.Ballot.Version,
            Primary = Server(chunk.Primary),
            Sealed = chunk.IsSealed,
            SealedLength = chunk.IsSealed ? (uint)chunk.Bytes.Length : 0,
        };
        location.Members.AddRange(Enumerable.Range(0, Servers.Length).Select(Server));
        return location;
    }

    private ServerAddress Server(int i) => new() { ServerId = (ulong)i + 1, Address = Servers[i] };

    // ---- The primary

    private IMessage Init(string address, InitWriterRequest request)
    {
        var chunk = ChunkOf(request.Handle);
        if (!IsPrimary(address, chunk, request.KnownBallot))
            return Reply(chunk, AppendStatus.NotPrimary);
        if (chunk.IsSealed)
            return Reply(chunk, AppendStatus.Sealed);
        if (!_writers.TryGetValue(request.Writer, out var writer))
            _writers[request.Writer] = writer = new WriterState();
        if (request.Epoch < writer.Epoch)
            return Reply(chunk, AppendStatus.Fenced);
        writer.Epoch = request.Epoch;
        var reply = Reply(chunk, AppendStatus.Committed);
        reply.LastSequence = writer.Last;
        foreach (var (first, place) in writer.Places.TakeLast(Remembered))
            (reply.Memory ??= new WriterMemory()).Batches.Add(new RememberedBatch { FirstSequence = first, RecordCount = place.Records, ChunkIndex = place.ChunkIndex, Offset = place.Offset });
        return reply;
    }

    /// <summary>Batches of a writer of which a primary tells its next incarnation.</summary>
    public int Remembered { get; set; } = 8;

    private IMessage Append(string address, AppendRequest request, byte[] payload)
    {
        var chunk = ChunkOf(request.Handle);
        Assert.Equal(request.PayloadCrc, Crc32C.Compute(payload));
        Assert.True(RecordBatch.IsWellFormed(payload, request.RecordCount));
        if (!IsPrimary(address, chunk, request.KnownBallot))
            return Reply(chunk, AppendStatus.NotPrimary);
        WriterState? writer = null;
        if (request.Writer != 0)
        {
            if (!_writers.TryGetValue(request.Writer, out writer))
                return Reply(chunk, AppendStatus.UnknownWriter);
            if (request.Epoch < writer.Epoch)
                return Reply(chunk, AppendStatus.Fenced);
            if (writer.Places.TryGetValue(request.FirstSequence, out var place))
            {
                Assert.Equal(place.Crc, request.PayloadCrc);
                return Committed(chunk, writer, place);
            }
            if (request.FirstSequence <= writer.Last)
                return Reply(chunk, AppendStatus.AlreadyCommitted);
            if (request.FirstSequence > writer.Last + 1)
            {
                var outOfOrder = Reply(chunk, AppendStatus.OutOfOrder);
                outOfOrder.LastSequence = writer.Last;
                return outOfOrder;
            }
        }
        if (chunk.IsSealed)
            return Reply(chunk, AppendStatus.Sealed);
        if (chunk.Bytes.Length + FrameHeader.LengthOfFrame((uint)payload.Length) > Capacity - ChunkLimits.SealReserve)
        {
            RollOver();
            return Reply(chunk, AppendStatus.Sealed);
        }
        uint offset = chunk.Append(new FrameHeader
        {
            Kind = FrameKind.Data,
            RecordCount = (ushort)request.RecordCount,
            Writer = new WriterId(request.Writer),
            Epoch = request.Epoch,
            FirstSequence = request.FirstSequence,
            TimeMs = Time.GetUtcNow().ToUnixTimeMilliseconds(),
        }, payload);
        var placed = new Place(chunk.Index, offset, request.PayloadCrc, request.RecordCount);
        if (writer is not null)
        {
            writer.Last += request.RecordCount;
            writer.Places[request.FirstSequence] = placed;
        }
        return Committed(chunk, writer, placed);
    }

    private AppendReply Committed(PretendChunk chunk, WriterState? writer, Place place)
    {
        var reply = Reply(chunk, AppendStatus.Committed);
        reply.ChunkIndex = place.ChunkIndex;
        reply.Offset = place.Offset;
        reply.LastSequence = writer?.Last ?? 0;
        reply.TimeMs = Time.GetUtcNow().ToUnixTimeMilliseconds();
        return reply;
    }

    private static AppendReply Reply(PretendChunk chunk, AppendStatus status) => new() { Status = status, Ballot = chunk.Ballot.Value };

    private bool IsPrimary(string address, PretendChunk chunk, ulong known) => Servers[chunk.Primary] == address && known <= chunk.Ballot.Value;

    private PretendChunk ChunkOf(ulong handle) => Chunks.Single(c => c.Handle.Value == handle);

    // ---- The replicas

    private async Task<IMessage> ReadAsync(string address, ReadFramesRequest request, Action<Payload> withPayload)
    {
        var chunk = ChunkOf(request.Handle);
        for (uint waited = 0; waited < request.WaitMs && chunk.Bytes.Length <= request.Offset && !chunk.IsSealed; waited += 50)
            await Delay(50);
        var reply = new ReadFramesReply
        {
            Status = ReadStatus.ReadOk,
            Ballot = chunk.Ballot.Value,
            Committed = (uint)chunk.Bytes.Length,
            Sealed = chunk.IsSealed,
            Settled = chunk.IsSealed || IsSettled(address),
        };
        if (request.Offset > chunk.Bytes.Length)
            reply.Status = ReadStatus.ReadPastEnd;
        else if (!chunk.Boundaries.Contains(request.Offset))
            reply.Status = ReadStatus.ReadNotABoundary;
        else
        {
            uint end = chunk.Boundaries.Where(b => b > request.Offset && b <= request.Offset + request.MaxBytes).LastOrDefault();
            if (end == 0)
                end = chunk.Boundaries.FirstOrDefault(b => b > request.Offset, request.Offset);
            withPayload(Payload.CopyOf(DistortRead(address, chunk.Bytes[(int)request.Offset..(int)end])));
        }
        return reply;
    }

    private InspectChunkReply Inspect(string address, InspectChunkRequest request)
    {
        var chunk = ChunkOf(request.Handle);
        return new InspectChunkReply
        {
            Status = Status.Ok,
            Report = new ChunkReport { Handle = request.Handle, Committed = (uint)chunk.Bytes.Length, Sealed = chunk.IsSealed, Primary = IsPrimary(address, chunk, 0) },
        };
    }

    private ListReplicasReply List(ListReplicasRequest request)
    {
        var reply = new ListReplicasReply { Status = Status.Ok };
        var held = Chunks.Where(c => c.Handle.Value > request.After).OrderBy(c => c.Handle.Value).Select(c => new HeldReplica
        {
            Report = new ChunkReport { Handle = c.Handle.Value, Tail = (uint)c.Bytes.Length, Committed = (uint)c.Bytes.Length, Sealed = c.IsSealed },
            FileId = 5,
            Index = c.Index,
        });
        reply.Replicas.AddRange(held.Take((int)request.Limit));
        return reply;
    }

    private ClusterStatusReply ClusterStatus()
    {
        var reply = new ClusterStatusReply { Status = Status.Ok };
        reply.Servers.AddRange(Enumerable.Range(0, Servers.Length).Select(i => new ServerStatus { Server = Server(i), Alive = true }));
        return reply;
    }

    private IdentifyWritersReply Identify(IdentifyWritersRequest request)
    {
        var reply = new IdentifyWritersReply { Status = Status.Ok };
        reply.Writers.AddRange(request.Writers.Select(w => new IdentifiedWriter
        {
            Writer = w,
            Standing = Registered.ContainsKey(w) ? IdentifiedAs.WriterRegistered : IdentifiedAs.WriterNeverGiven,
            Epoch = Registered.GetValueOrDefault(w),
        }));
        return reply;
    }

    private sealed class WriterState
    {
        public uint Epoch { get; set; }
        public ulong Last { get; set; }
        public SortedDictionary<ulong, Place> Places { get; } = [];
    }

    private readonly record struct Place(ulong ChunkIndex, uint Offset, uint Crc, uint Records);
}

/// <summary>A chunk's frames, as every replica has them.</summary>
internal sealed class PretendChunk(ChunkHandle handle, ulong index)
{
    private uint _chain = FrameHeader.ChainSeed(handle);

    public ChunkHandle Handle => handle;
    public ulong Index => index;
    public Ballot Ballot { get; set; } = Ballot.OfVersion(1);
    public int Primary { get; set; }
    public bool IsSealed { get; set; }
    public byte[] Bytes { get; private set; } = [];
    public List<uint> Boundaries { get; } = [0];

    public uint Append(FrameHeader header, byte[] payload)
    {
        uint offset = (uint)Bytes.Length;
        var frame = new byte[FrameHeader.LengthOfFrame((uint)payload.Length)];
        header = header with { Offset = offset, Ballot = Ballot, Chain = _chain, PayloadLength = (uint)payload.Length, PayloadCrc = Crc32C.Compute(payload) };
        _chain = header.Write(frame);
        payload.CopyTo(frame, FrameHeader.Size);
        Bytes = [.. Bytes, .. frame];
        Boundaries.Add((uint)Bytes.Length);
        return offset;
    }
}
