using Google.Protobuf;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Kernel;
using Semel.Simulation.Wire;

namespace Semel.Tests.Master;

/// <summary>A chunk server that does what the test says; by default it agrees to everything and beats its heart.</summary>
internal sealed class PlayedServer : ICallHandler
{
    private readonly MasterFixture _fixture;
    private readonly SimulatedProcess _process;
    private readonly SimulatedWire _wire;
    private (ulong Epoch, ulong Nonce) _registered;
    private ulong _sequence;
    private bool _beating;

    public PlayedServer(MasterFixture fixture, string host)
    {
        (_fixture, Host) = (fixture, host);
        _process = fixture.World.StartProcess(host);
        _wire = new SimulatedWire(fixture.Network, _process, host);
        Incarnation = _process.Random.NextBits() | 1;
        _process.Start(() =>
        {
            _wire.Listen($"{host}:7071", this);
            return Task.CompletedTask;
        });
    }

    public string Host { get; }
    public string Address => $"{Host}:7071";
    public ulong Id { get; set; }
    public string ClusterId { get; set; } = "";
    public bool IsUp { get; private set; }
    public ulong Incarnation { get; set; }

    /// <summary>The master that it accepted last: epoch, nonce, entries of its log.</summary>
    public (ulong Epoch, ulong Nonce, ulong Position) Known { get; set; }

    /// <summary>It has accepted the master that it has registered with.</summary>
    public bool Serves => (Known.Epoch, Known.Nonce) == _registered;

    /// <summary>It does what a master that is elected asks for: it accepts it.</summary>
    public bool Accepts { get; set; } = true;

    /// <summary>What it says when it is asked how long ago that master answered it; -1: it never did.</summary>
    public long HeardMs { get; set; } = -1;

    public List<CreateChunkRequest> Creates { get; } = [];
    public List<PromiseRequest> Promises { get; } = [];
    public List<GrantRequest> Grants { get; } = [];
    public List<SealChunkRequest> SealCalls { get; } = [];
    public List<Command> Commands { get; } = [];
    public List<LeaseRenewal> Leases { get; } = [];

    /// <summary>Null: no answer.</summary>
    public Func<CreateChunkRequest, CreateChunkReply?> OnCreate { get; set; } = _ => new CreateChunkReply { Status = Status.Ok };
    public Func<PromiseRequest, PromiseReply?> OnPromise { get; set; } = Promised(lastView: 1, tail: 0);
    public Func<GrantRequest, GrantReply?> OnGrant { get; set; } = _ => new GrantReply { Status = Status.Ok };

    public Func<InspectChunkRequest, InspectChunkReply?> OnInspect { get; set; } = _ => new InspectChunkReply { Status = Status.NotFound };

    /// <summary>Commands that concern the chunk.</summary>
    public IEnumerable<Command> About(ChunkLocation chunk) => Commands.Where(c =>
        (c.DeleteChunk?.Handle ?? c.CloneChunk?.Handle ?? c.ConfirmSeal?.Handle) == chunk.Handle);

    public static Func<PromiseRequest, PromiseReply?> Promised(ulong lastView, uint tail, bool suspect = false, bool damaged = false) => r => new PromiseReply
    {
        Status = Status.Ok,
        Promised = Ballot.OfVersion(r.Version).Value,
        LastView = Ballot.OfVersion(lastView).Value,
        Tail = tail,
        Suspect = suspect,
        Damaged = damaged,
    };

    public static Func<PromiseRequest, PromiseReply?> NoAnswer => _ => null;

    public RegisterServerRequest Registration() => new()
    {
        ServerId = Id,
        Incarnation = Incarnation,
        Address = Address,
        ClusterId = ClusterId,
        CapacityBytes = 1UL << 40,
        FreeBytes = 1UL << 39,
        KnownEpoch = Known.Epoch,
        KnownNonce = Known.Nonce,
        KnownPosition = Known.Position,
    };

    public async Task<RegisterServerReply> RegisterAsync()
    {
        IsUp = true;
        var reply = await _fixture.CallAsync<RegisterServerReply>(MessageKind.RegisterServer, Registration());
        if (reply.Status == Status.Ok)
            (Id, ClusterId, _sequence, _registered) = (reply.ServerId, reply.ClusterId, 0, (reply.MasterEpoch, reply.MasterNonce));
        return reply;
    }

    /// <summary>The whole report in one page; then heartbeats go on by themselves.</summary>
    public async Task ReportAllAsync(params ChunkReport[] reports)
    {
        var reply = await BeatAsync(complete: true, reports: reports);
        Assert.Equal(Status.Ok, reply.Status);
        if (reply.Elected)
            await BeatAsync();      // says that it serves
        if (!_beating)
        {
            _beating = true;
            _process.Start(BeatOnAsync);
        }
    }

    public async Task<HeartbeatReply> BeatAsync(bool complete = false, CommandResult[]? results = null, params ChunkReport[] reports)
    {
        var request = NextBeat(complete);
        request.Chunks.AddRange(reports);
        request.Results.AddRange(results ?? []);
        var reply = await _fixture.CallAsync<HeartbeatReply>(MessageKind.Heartbeat, request);
        Take(reply);
        return reply;
    }

    public Task<HeartbeatReply> TellAsync(ChunkReport report) => BeatAsync(reports: report);

    public Task<HeartbeatReply> TellResultAsync(ulong command, Status status) =>
        BeatAsync(results: [new CommandResult { CommandId = command, Status = status }]);

    /// <summary>Falls silent: answers nothing, sends nothing.</summary>
    public void Die() => _process.Kill();

    /// <summary>Stops its heartbeats, but answers.</summary>
    public void StopBeating() => _beating = false;

    /// <summary>A new incarnation in the same place.</summary>
    public PlayedServer StartAnew() => new(_fixture, Host) { Id = Id, ClusterId = ClusterId, Known = Known };

    public ServerAddress ToMessage() => new() { ServerId = Id, Address = Address };

    private async Task BeatOnAsync()
    {
        bool said = false;     // that it serves; what is news is said soon
        while (true)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(Serves && said ? 1000 : 200), _process.Time);
            said = Serves;
            if (!_beating)
                return;
            var result = await _wire.LinkTo(MasterFixture.Address).CallAsync(MessageKind.Heartbeat, NextBeat(), default, MasterFixture.CallTimeout);
            if (result.IsAnswered)
                Take(result.Answer<HeartbeatReply>());
        }
    }

    private HeartbeatRequest NextBeat(bool complete = false) => new()
    {
        ServerId = Id,
        Incarnation = Incarnation,
        Sequence = ++_sequence,
        CapacityBytes = 1UL << 40,
        FreeBytes = 1UL << 39,
        ReportComplete = complete,
        MasterEpoch = _registered.Epoch,
        MasterNonce = _registered.Nonce,
        Serves = Serves,
    };

    private void Take(HeartbeatReply reply)
    {
        if (reply.Elected && Accepts && !Serves)
            Known = (_registered.Epoch, _registered.Nonce, 0);
        foreach (var command in reply.Commands.Where(c => Commands.All(known => known.CommandId != c.CommandId)))
            Commands.Add(command);
        Leases.AddRange(reply.Leases);
        if (Serves && reply.Position > Known.Position)
            Known = Known with { Position = reply.Position };
    }

    void ICallHandler.Handle(IncomingCall call)
    {
        IMessage? reply = null;
        switch (call.Header)
        {
            case CreateChunkRequest r:
                Creates.Add(r);
                reply = OnCreate(r);
                break;
            case PromiseRequest r:
                Promises.Add(r);
                reply = OnPromise(r);
                break;
            case GrantRequest r:
                Grants.Add(r);
                reply = OnGrant(r);
                break;
            case KnownMasterRequest:
                reply = new KnownMasterReply
                {
                    Status = Status.Ok,
                    ServerId = Id,
                    ClusterId = ClusterId,
                    HeardEpoch = _registered.Epoch,
                    HeardNonce = _registered.Nonce,
                    Epoch = Known.Epoch,
                    Nonce = Known.Nonce,
                    Position = Known.Position,
                    HeardMs = HeardMs,
                    MasterAddress = "another:7070",
                };
                break;
            case InspectChunkRequest r:
                reply = OnInspect(r);
                break;
            case SealChunkRequest r:
                SealCalls.Add(r);
                reply = new SealChunkReply { Status = Status.Ok };
                break;
        }
        if (reply is not null)
            call.Reply(reply);
    }
}
