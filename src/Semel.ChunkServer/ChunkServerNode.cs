using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Appending;
using Semel.ChunkServer.Reading;
using Semel.ChunkServer.Registration;
using Semel.ChunkServer.Replicas;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;

namespace Semel.ChunkServer;

/// <summary>
/// A chunk server: takes calls, and passes each to the replica that it is about. Everything it needs of the world comes from outside:
/// the same code runs on sockets and disks and in the simulation.
/// </summary>
public sealed class ChunkServerNode : IAsyncDisposable, ICallHandler
{
    /// <summary>
    /// A call of a master that this server has not accepted yet waits so long for that: the master that has just started is faster than the
    /// next heartbeat.
    /// </summary>
    private static readonly TimeSpan LongestWaitForAcceptance = TimeSpan.FromSeconds(2);

    private readonly ChunkServerOptions _options;
    private readonly IDisk _disk;
    private readonly DataDirectory _directory;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ReplicaRegistry _replicas = new();
    private readonly ReplicaMaker _maker;
    private readonly CancellationTokenSource _stopping = new();
    private readonly MasterBond _bond;
    private readonly CommandRunner _commands;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ulong _incarnation;
    private IListener? _listener;
    private Task _session = Task.CompletedTask;
    private bool _complained;   // that the generation cannot be raised

    private ChunkServerNode(ChunkServerOptions options, IDisk disk, DataDirectory directory, IWire wire, TimeProvider time, Random random, ILogger logger)
    {
        (_options, _disk, _directory, _time, _logger) = (options, disk, directory, time, logger);
        _incarnation = (ulong)random.NextInt64(1, long.MaxValue);
        var services = new ReplicaServices(
            options, wire, wire.LinkTo(options.MasterAddress), time, random, logger, () => Id ?? default, () => _directory.Generation, new PeerPulse(), r => _replicas.Changed(r.Handle),
            new SealedTables(options.WritersInSealedTables));
        _maker = new ReplicaMaker(_replicas, services, disk);
        _bond = new MasterBond(directory, time, logger);
        _commands = new CommandRunner(CarryOutAsync, logger);
    }

    /// <summary>Where it takes calls.</summary>
    public string Address => _listener!.Address;

    /// <summary>Null until it has registered for the first time.</summary>
    public ServerId? Id => _directory.ServerId;

    /// <summary>Null until it has registered for the first time.</summary>
    public string? ClusterId => _directory.ClusterId;

    /// <summary>
    /// Ends when the chunk server was stopped, or with the cause as soon as it cannot go on: without its session the master would not hear
    /// of it again.
    /// </summary>
    public Task Completion => _completion.Task;

    /// <summary>Only for tests.</summary>
    internal IEnumerable<ChunkReport> Reports() => _replicas.All().Select(r => r.Report);

    /// <summary>
    /// Takes the data directory, opens its replicas, listens, and registers with the master (in the background, for as long as it takes).
    /// </summary>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A setting is out of range.</exception>
    /// <exception cref="IOException">The directory is in use, of another role or cluster, or not readable; or the address is
    /// taken.</exception>
    public static async Task<ChunkServerNode> StartAsync(
        ChunkServerOptions options, IDisk disk, IWire wire, TimeProvider time, Random random, ILoggerFactory loggers, CancellationToken cancellation)
    {
        options.Validate();
        var logger = loggers.CreateLogger("Semel.ChunkServer");
        var directory = await DataDirectory.OpenAsync(disk, ServerRole.ChunkServer, logger);
        var node = new ChunkServerNode(options, disk, directory, wire, time, random, logger);
        try
        {
            await node._maker.OpenAllAsync();
            node._listener = wire.Listen(options.BindAddress, node);
            cancellation.ThrowIfCancellationRequested();
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
        logger.Started(node.Id ?? default, node.ClusterId ?? "(none yet)", node._replicas.Count, node.Address);
        var session = new MasterSession(
            options, wire.LinkTo(options.MasterAddress), node._replicas, node._commands, node._bond,
            node.RaiseGenerationAsync, node.Describe, node.AcceptedAsync, time, random, logger);
        node._session = session.RunAsync(node._stopping.Token);
        _ = node.ObserveAsync(node._session);
        return node;
    }

    /// <summary>Stops taking calls, flushes every replica, and has each write down what it holds.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stopping.IsCancellationRequested)
            return;
        _stopping.Cancel();
        if (_listener is not null)
            await _listener.DisposeAsync();
        await Task.WhenAny(_session);   // its failure, if any, was told
        var stops = _replicas.All().Select(StopAsync).ToList();     // side by side: each waits for its flushes
        foreach (var stopped in stops)
            await stopped;
        _directory.Dispose();
        _completion.TrySetResult();
    }

    /// <summary>The session goes on for as long as the server does.</summary>
    private async Task ObserveAsync(Task session)
    {
        Exception failure = new InvalidOperationException("The session with the master ended by itself.");
        try
        {
            await session;
        }
        catch (Exception e)
        {
            failure = e;
        }
        if (_stopping.IsCancellationRequested)
            return;
        _logger.Failed(failure, failure.Message);
        _completion.TrySetException(failure);
        _ = _completion.Task.Exception;     // observed, also when nobody waits
    }

    private static Task StopAsync(Replica replica)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return replica.Post(new StopWanted(stopped)) ? stopped.Task : Task.CompletedTask;
    }

    void ICallHandler.Handle(IncomingCall call)
    {
        switch (call.Header)
        {
            case AppendRequest r:
                ToReplica(call, r.Handle);
                break;
            case InitWriterRequest r:
                ToReplica(call, r.Handle);
                break;
            case EvictWriterRequest r:
                ToReplica(call, r.Handle);
                break;
            case FindWriterRequest r:
                ToReplica(call, r.Handle);
                break;
            case PrepareRequest r:
                ToReplica(call, r.Handle);
                break;
            case NewViewRequest r:
                ToReplica(call, r.Handle);
                break;
            case ReadFramesRequest { ServerId: > 0 } r when IsAnother(r.ServerId):
                call.Reply(new ReadFramesReply { Status = ReadStatus.ReadOtherServer, Detail = WhoThisIs(r.ServerId) });
                break;
            case ListReplicasRequest { ServerId: > 0 } r when IsAnother(r.ServerId):
                call.Reply(new ListReplicasReply { Status = Status.Unavailable, Detail = WhoThisIs(r.ServerId) });
                break;
            case PromiseRequest { ServerId: > 0 } r when IsAnother(r.ServerId):
                call.Reply(new PromiseReply { Status = Status.Unavailable, Detail = WhoThisIs(r.ServerId) });
                break;
            case GrantRequest { ServerId: > 0 } r when IsAnother(r.ServerId):
                call.Reply(new GrantReply { Status = Status.Unavailable, Detail = WhoThisIs(r.ServerId) });
                break;
            case ListReplicasRequest r:
                call.Reply(ReplicaList.Page(_replicas, r));
                break;
            case ReadFramesRequest r when _replicas.TryGet(new ChunkHandle(r.Handle), out var replica):
                _ = FrameServer.ServeAsync(call, replica, _time);
                break;
            case InspectChunkRequest r:
                ToReplica(call, r.Handle);
                break;
            case FetchBaseRequest r:
                ToReplica(call, r.Handle);
                break;
            case PromiseRequest r:
                FromMaster(call, r.MasterEpoch, r.MasterNonce, () => ToReplica(call, r.Handle));
                break;
            case GrantRequest r:
                FromMaster(call, r.MasterEpoch, r.MasterNonce, () => ToReplica(call, r.Handle));
                break;
            case SealChunkRequest r:
                FromMaster(call, r.MasterEpoch, r.MasterNonce, () => ToReplica(call, r.Handle));
                break;
            case KnownMasterRequest:
                call.Reply(_bond.Describe(Id?.Value ?? 0, _options.MasterAddress));
                break;
            case CreateChunkRequest when Id is null:
                call.Reply(new CreateChunkReply { Status = Status.Unavailable, Detail = "This chunk server is just being registered: its identity is not on its disk yet." });
                break;
            case CreateChunkRequest { ServerId: > 0 } r when IsAnother(r.ServerId):
                call.Reply(new CreateChunkReply { Status = Status.Unavailable, Detail = WhoThisIs(r.ServerId) });
                break;
            case CreateChunkRequest r:
                FromMaster(call, r.MasterEpoch, r.MasterNonce, () => _ = CreateAsync(call, r));
                break;
            default:
                call.Reply(Refusal(call));
                break;
        }
    }

    /// <summary>An address outlives the server that had it: what this one lacks says nothing of that one.</summary>
    private bool IsAnother(ulong server) => Id is null || Id.Value.Value != server;

    private string WhoThisIs(ulong meant) => $"This is chunk server {(Id is { } id ? id.ToString() : "(not registered yet)")}, not {new ServerId(meant)}.";

    private void ToReplica(IncomingCall call, ulong handle)
    {
        if (_replicas.TryGet(new ChunkHandle(handle), out var replica))
            replica.Take(call);
        else
            call.Reply(Refusal(call));
    }

    /// <summary>
    /// A master that was replaced, or is not the one that this server serves, has nothing to say. A newer one is heard once the server has
    /// accepted it.
    /// </summary>
    private void FromMaster(IncomingCall call, ulong epoch, ulong nonce, Action serve)
    {
        switch (_bond.StandingOf(epoch, nonce))
        {
            case CallerStanding.Served:
                serve();
                break;
            case CallerStanding.Newer:
                _ = WhenAcceptedAsync(call, epoch, nonce, serve);
                break;
            default:
                call.Reply(MasterRefusal(call, epoch));
                break;
        }
    }

    private async Task WhenAcceptedAsync(IncomingCall call, ulong epoch, ulong nonce, Action serve)
    {
        _commands.Wake();       // the next heartbeat finds the new master
        try
        {
            await _bond.AcceptedAsync(epoch, call.TimeLeft < LongestWaitForAcceptance ? call.TimeLeft : LongestWaitForAcceptance, _stopping.Token);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        if (_bond.StandingOf(epoch, nonce) == CallerStanding.Served)
            serve();
        else
            call.Reply(MasterRefusal(call, epoch));
    }

    /// <summary>Nothing was done: this server serves another master.</summary>
    private IMessage MasterRefusal(IncomingCall call, ulong epoch)
    {
        var status = _bond.Known.Epoch < epoch ? Status.Unavailable : Status.Stale;
        string detail = _bond.RefusalOf(epoch);
        return call.Kind switch
        {
            MessageKind.Promise => new PromiseReply { Status = status, Detail = detail },
            MessageKind.Grant => new GrantReply { Status = status, Detail = detail },
            MessageKind.SealChunk => new SealChunkReply { Status = status },
            _ => new CreateChunkReply { Status = status, Detail = detail },
        };
    }

    /// <summary>Nothing was done: there is no such chunk here, or a chunk server does not do such things.</summary>
    private IMessage Refusal(IncomingCall call)
    {
        const string noChunk = "There is no such chunk on this server.";
        switch (call.Kind)
        {
            case MessageKind.Append or MessageKind.InitWriter or MessageKind.EvictWriter or MessageKind.Prepare or MessageKind.NewView or MessageKind.ReadFrames:
                return NotServed.Reply(call.Kind, noChunk);
            case MessageKind.FindWriter:
                return new FindWriterReply { Status = Status.NotFound, Detail = noChunk };
            case MessageKind.InspectChunk:
                return new InspectChunkReply { Status = Status.NotFound };
            case MessageKind.FetchBase:
                return new FetchBaseReply { Status = Status.NotFound, Detail = noChunk };
            case MessageKind.Promise:
                return new PromiseReply { Status = Status.NotFound, Detail = noChunk };
            case MessageKind.Grant:
                return new GrantReply { Status = Status.NotFound, Detail = noChunk };
            case MessageKind.SealChunk:
                return new SealChunkReply { Status = Status.NotFound };
            default:
                _logger.CallNotServed(call.Kind, call.Peer);
                return NotServed.Reply(call.Kind, "This is a chunk server. Ask the master.");
        }
    }

    private async Task CreateAsync(IncomingCall call, CreateChunkRequest request) => call.Reply(await _maker.CreateAsync(request));

    private async Task<CommandResult> CarryOutAsync(Command command)
    {
        switch (command.WhatCase)
        {
            case Command.WhatOneofCase.DeleteChunk:
                return await _maker.DeleteAsync(command.DeleteChunk);
            case Command.WhatOneofCase.CloneChunk:
                return await _maker.CloneAsync(command.CloneChunk);
            case Command.WhatOneofCase.ConfirmSeal:
                if (_replicas.TryGet(new ChunkHandle(command.ConfirmSeal.Handle), out var replica))
                    replica.Post(new SealConfirmed(command.ConfirmSeal.Version, command.ConfirmSeal.Length, command.ConfirmSeal.SealBallot));
                return new CommandResult { Status = Status.Ok };
            default:
                return new CommandResult { Status = Status.Invalid, Detail = "This chunk server does not know the command: it is older than the master." };
        }
    }

    private RegisterServerRequest Describe() => new()
    {
        ServerId = Id?.Value ?? 0,
        Incarnation = _incarnation,
        Address = _options.AdvertisedAddress ?? Address,
        ClusterId = _directory.ClusterId ?? "",
        CapacityBytes = (ulong)_disk.CapacityBytes,
        FreeBytes = (ulong)_disk.FreeBytes,
        Generation = _directory.Generation,
        KnownEpoch = _bond.Known.Epoch,
        KnownNonce = _bond.Known.Nonce,
        KnownPosition = _bond.Known.Position,
    };

    /// <summary>
    /// Raises the generation of the data directory, and above <paramref name="known"/> when the directory is an older copy of itself; then
    /// every open replica is distrusted first. False: the disk does not allow it.
    /// </summary>
    private async Task<bool> RaiseGenerationAsync(ulong known)
    {
        try
        {
            if (known > _directory.Generation)
            {
                _logger.DirectoryIsOlder(_directory.Generation, known);
                foreach (var replica in _replicas.All())
                {
                    var remembered = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
                    if (replica.Post(new DistrustWanted(remembered)) && !await remembered.Task)
                        return false;
                }
            }
            await _directory.SetGenerationAsync(Math.Max(_directory.Generation, known) + 1);
            _complained = false;
            return true;
        }
        catch (IOException e)
        {
            if (!_complained)
                _logger.GenerationNotRaised(e.Message);
            _complained = true;
            return false;
        }
    }

    private async ValueTask AcceptedAsync(RegisterServerReply reply)
    {
        try
        {
            await _directory.SetIdentityAsync(reply.ClusterId, new ServerId(reply.ServerId));
        }
        catch (IOException e)
        {
            _logger.RegistrationRefused(_options.MasterAddress, e.Message);
            throw;
        }
    }
}
