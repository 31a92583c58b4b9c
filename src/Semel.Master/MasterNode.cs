using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.Garbage;
using Semel.Master.Identity;
using Semel.Master.Leases;
using Semel.Master.Namespace;
using Semel.Master.OperationLog;
using Semel.Master.Repair;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Master.Writers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Scheduling;
using Semel.Protocol.Wires;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;

namespace Semel.Master;

/// <summary>
/// The master: the namespace, where chunks are, who may append. One logical thread owns all state. A call is checked, logged, applied, and answered when the
/// log is durable up to what the answer shows. Everything it needs of the world comes from outside: the same code runs on sockets and disks and in the simulation.
/// </summary>
public sealed class MasterNode : IAsyncDisposable, ICallHandler
{
    /// <summary>A call that waits for the servers' word on this master does so no longer; its caller asks again.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    private readonly SerialContext _context = SerialContext.Create();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly DataDirectory _directory;
    private readonly OperationJournal _journal;
    private readonly MasterServices _services;
    private readonly ServerRegistry _servers;
    private readonly Inquiry _inquiry;
    private readonly ActivityTable _activities;
    private readonly ViewChanges _views;
    private readonly Rereplication _repair;
    private readonly OpenChunkRepair _openRepair;
    private readonly LossProofs _proofs;
    private readonly Sealing _sealing;
    private readonly GarbageCollection _garbage;
    private readonly Registration _registration;
    private readonly Heartbeats _heartbeats;
    private readonly NamespaceCalls _names;
    private readonly WriterRegistrations _writers;
    private readonly ChunkLocator _locator;
    private readonly ClusterReport _report;
    private readonly OperatorRecovery _recovery;
    private IListener? _listener;
    private Task _ticking = Task.CompletedTask;
    private bool _closed;

    private MasterNode(
        MasterOptions options, MasterState state, OperationJournal journal, DataDirectory directory, IWire wire, TimeProvider time, Random random, ILogger logger)
    {
        (_time, _logger, _directory, _journal) = (time, logger, directory, journal);
        _services = new MasterServices(options, state, journal, new Standing(options, state, journal, time, random, logger), wire, time, random, logger, flow => _ = ObserveAsync(flow), _stopping.Token);
        _servers = new ServerRegistry(_services);
        _inquiry = new Inquiry(_services, _servers);
        _activities = new ActivityTable(_services);
        var handles = new HandleAllocator(_services);
        var placement = new Placement(_services, _servers);
        var granting = new Granting(_services, _servers);
        _views = new ViewChanges(_services, _servers, _activities, placement, granting);
        _proofs = new LossProofs(_services, _servers);
        _repair = new Rereplication(_services, _servers, placement, _proofs);
        _openRepair = new OpenChunkRepair(_services, _servers, placement, _views);
        var maker = new ChunkMaker(_services, _servers, _activities, handles, placement, granting, _views);
        _sealing = new Sealing(_services, _servers, _activities, placement, _views, maker, _repair);
        _garbage = new GarbageCollection(_services, _servers, handles, maker, _views, _repair, _proofs);
        _registration = new Registration(_services, _servers, handles, maker, _activities, _views, _sealing, _repair);
        _heartbeats = new Heartbeats(_services, _servers, _registration, _garbage, _repair, new LeaseTable(_services, _views));
        _names = new NamespaceCalls(_services);
        _writers = new WriterRegistrations(_services, _names);
        _locator = new ChunkLocator(_services, _servers, _activities, _names, maker, _views);
        _recovery = new OperatorRecovery(_services, _servers, _views);
        _report = new ClusterReport(_services, _servers, _repair, _openRepair, _views);
    }

    /// <summary>Where it takes calls.</summary>
    public string Address => _listener!.Address;

    /// <summary>32 hexadecimal digits, drawn when the cluster was created.</summary>
    public string ClusterId => _services.State.ClusterId!;

    /// <summary>Ends when the master has stopped: well after <see cref="DisposeAsync"/>, with the cause when it had to stop by itself.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Only for tests.</summary>
    internal MasterState State => _services.State;

    /// <summary>Only for tests.</summary>
    internal Standing Standing => _services.Standing;

    /// <summary>
    /// 1: takes the data directory. 2: reads the operation log. 3: creates the cluster if the log is empty. 4: begins a new epoch. 5: takes calls.
    /// </summary>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">A setting is out of range.</exception>
    /// <exception cref="IOException">The directory is in use, of another role or cluster, or not readable; or the address is taken.</exception>
    public static async Task<MasterNode> StartAsync(
        MasterOptions options, IDisk disk, IWire wire, TimeProvider time, Random random, ILoggerFactory loggers, CancellationToken ct)
    {
        options.Validate();
        var logger = loggers.CreateLogger("Semel.Master");
        var directory = await DataDirectory.OpenAsync(disk, ServerRole.Master, logger);
        OperationJournal? journal = null;
        MasterNode? node = null;
        try
        {
            var state = new MasterState();
            journal = await OperationJournal.OpenAsync(disk, state, time, logger);
            await BindAsync(directory, state, journal, random, time, logger);
            ct.ThrowIfCancellationRequested();
            node = new MasterNode(options, state, journal, directory, wire, time, random, logger);
            await node.BeginAsync();
            return node;
        }
        catch
        {
            if (node is not null)
                await node.DisposeAsync();
            else
            {
                if (journal is not null)
                    await journal.DisposeAsync();
                directory.Dispose();
            }
            throw;
        }
    }

    /// <summary>Stops taking calls and closes the log. Calls that wait are not answered.</summary>
    public async ValueTask DisposeAsync()
    {
        await _context;
        if (_closed)
            return;
        _closed = true;
        _stopping.Cancel();
        if (_listener is not null)
            await _listener.DisposeAsync();
        await Task.WhenAny(_ticking);   // its failure, if any, is what stops us
        try
        {
            await _journal.DisposeAsync();
        }
        finally
        {
            _directory.Dispose();
            _completion.TrySetResult();
        }
    }

    void ICallHandler.Handle(IncomingCall call)
    {
        long arrivedAt = _time.GetTimestamp();
        _context.Post(() => _ = ObserveAsync(ServeAsync(call, arrivedAt)));
    }

    /// <summary>The log and the identity belong together: one without the other means that files were lost or mixed up.</summary>
    private static async ValueTask BindAsync(DataDirectory directory, MasterState state, OperationJournal journal, Random random, TimeProvider time, ILogger logger)
    {
        if (journal.IsEmpty)
        {
            if (directory.ClusterId is { } lost)
            {
                throw new DataDirectoryException($"The data directory belongs to the master of the cluster {lost}, but its operation log is empty or gone. "
                    + "Put the log back from a copy; without it the master does not know the cluster's files. To begin a new cluster, use an empty directory.");
            }
            var id = new byte[16];
            random.NextBytes(id);
            string cluster = Convert.ToHexStringLower(id);
            journal.Append(new LogEntry { ClusterCreated = new ClusterCreated { ClusterId = cluster, CreatedMs = time.GetUtcNow().ToUnixTimeMilliseconds() } });
            await journal.DurableAsync();
            logger.ClusterCreated(cluster);
        }
        await directory.SetIdentityAsync(state.ClusterId!, null);
    }

    private async Task BeginAsync()
    {
        await _context;
        _services.Standing.BeginEpoch();
        await _journal.DurableAsync();
        _listener = _services.Wire.Listen(_services.Options.BindAddress, this);
        _logger.Started(ClusterId, State.Epoch, State.Namespace.FileCount, State.ChunkCount, Address);
        _ticking = TickAsync();
        _services.Run(_ticking);
        _services.Run(_inquiry.RunAsync());
        _services.Run(_journal.Completion);     // a log that failed while nobody appended
    }

    private async Task ServeAsync(IncomingCall call, long arrivedAt)
    {
        if (_closed)
            return;
        if (Withholding.Reply(call.Kind, "") is not null && await WithheldAsync(call, arrivedAt) is { } reason)
        {
            call.Reply(Withholding.Reply(call.Kind, reason)!);
            return;
        }
        if (call.Header is RegisterServerRequest)
            await _inquiry.FirstRoundOverAsync();
        var reply = call.Header switch
        {
            CreateFileRequest r => _names.CreateFile(r),
            MakeDirectoryRequest r => _names.MakeDirectory(r),
            ListDirectoryRequest r => _names.ListDirectory(r),
            StatRequest r => _names.Stat(r),
            DeleteRequest r => Delete(r),
            RegisterWriterRequest r => _writers.Register(r),
            LookUpWriterRequest r => _writers.LookUp(r),
            IdentifyWritersRequest r => _writers.Identify(r),
            RetireWriterRequest r => new RetireWriterReply { Status = _writers.Retire(r) },
            ExpireWritersRequest r => new ExpireWritersReply { Status = _writers.Expire(r) },
            LocateChunksRequest r => _locator.LocateChunks(r),
            LocateTailRequest r => await _locator.LocateTailAsync(r, arrivedAt, call.TimeLeft, call.CallerGone),
            ClusterStatusRequest => _report.Make(),
            InspectCopiesRequest r => await _recovery.InspectAsync(r),
            RecoverChunkRequest r => await _recovery.RecoverAsync(r, arrivedAt, call.TimeLeft),
            RegisterServerRequest r => _registration.Register(r),
            HeartbeatRequest r => _heartbeats.Take(r),
            SealedRequest r => new SealedReply { Status = _sealing.TakeSealed(r) },
            SuspectRequest r => new SuspectReply { Status = TakeSuspect(r) },
            _ => NotServedHere(call),
        };
        // No one hears of a state that a crash could take back.
        await _journal.DurableAsync();
        call.Reply(reply);
    }

    private Task<string?> WithheldAsync(IncomingCall call, long arrivedAt)
    {
        var wait = Withholding.MayWait(call.Kind) ? Withholding.LongestWait(call.TimeLeft) - _services.Since(arrivedAt) : TimeSpan.Zero;
        return _services.Standing.WithheldAsync(wait < LongestWait ? wait : LongestWait, _services.Stopping);
    }

    private DeleteReply Delete(DeleteRequest request)
    {
        var reply = _names.Delete(request, out var chunks);
        _garbage.DeleteAll(chunks);
        return reply;
    }

    /// <summary>A primary cannot work with a member. Only the current primary's word counts; to any other one it says that it was replaced.</summary>
    private Status TakeSuspect(SuspectRequest request)
    {
        if (State.FindChunk(new ChunkHandle(request.Handle)) is not { } chunk)
            return Status.NotFound;
        if (request.Version != chunk.Version || request.Sender != chunk.Primary.Value)
            return Status.Stale;
        var member = new ServerId(request.Member);
        if (chunk.IsSealed || member == chunk.Primary || !chunk.Members.Contains(member))
            return Status.Ok;
        _logger.MemberAccused(chunk.Primary, chunk.Handle, member, request.Reason);
        _servers.Get(member).AccusedAt = _services.Now;
        _views.Start(chunk, $"the primary accused {member}", accused: member);
        return Status.Ok;
    }

    private IMessage NotServedHere(IncomingCall call)
    {
        _logger.CallNotServed(call.Kind, call.Peer);
        return NotServed.Reply(call.Kind, "This is the master. Ask a chunk server.");
    }

    private async Task TickAsync()
    {
        var interval = _services.Options.DeadAfter / 6;
        var nextRetry = _services.Now;
        try
        {
            while (true)
            {
                await Task.Delay(interval, _time, _stopping.Token);
                _registration.Tick();
                _sealing.EndShortChunks(serverCameBack: false);
                _openRepair.Tick();
                _repair.Tick();
                _proofs.Tick();
                _views.CheckExpectedSeals();
                if (_services.Since(nextRetry) > _services.Options.LongestRetryPause * 2)
                {
                    _views.RetryOwed();
                    _activities.Prune();
                    nextRetry = _services.Now;
                }
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
        }
    }

    /// <summary>A flow that fails leaves a state behind that nobody can vouch for: the master stops, and its successor reads the log.</summary>
    private async Task ObserveAsync(Task flow)
    {
        try
        {
            await flow;
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            if (_closed)
                return;
            _logger.Failed(e, e.Message);
            _completion.TrySetException(e);
            await DisposeAsync();
        }
    }
}
