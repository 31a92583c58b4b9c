using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Replicas;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.ChunkServer.Registration;

/// <summary>
/// This server's side of its association with the master: registers, reports, takes commands, again and again through any restart
/// of the master. Commands run beside the heartbeat, so that a slow copy never makes the server look dead.
/// </summary>
internal sealed class MasterSession(
    ChunkServerOptions options,
    ILink master,
    ReplicaRegistry replicas,
    CommandRunner commands,
    MasterBond bond,
    Func<ulong, Task<bool>> raiseGeneration,
    Func<RegisterServerRequest> describe,
    Func<RegisterServerReply, ValueTask> accepted,
    TimeProvider time,
    Random random,
    ILogger logger)
{
    private const int ReportsPerPage = 5000;
    // Well below the silence after which the master takes a server for dead: one lost answer is no death.
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);
    /// <summary>Between heartbeats to a master that is not elected yet: the whole cluster waits for that.</summary>
    private static readonly TimeSpan LongestPauseOfAnElection = TimeSpan.FromMilliseconds(200);

    private readonly Queue<ChunkReport> _fullReport = new();
    private readonly List<CommandResult> _results = [];
    private TimeSpan _interval = options.HeartbeatInterval;
    private bool _complained;
    private long? _generationRaisedAt;  // null: not since the start

    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                var (incarnation, registration) = await RegisterAsync(cancellation);
                await HeartbeatAsync(incarnation, registration, cancellation);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task<(ulong Incarnation, RegisterServerReply Reply)> RegisterAsync(CancellationToken cancellation)
    {
        for (var pause = FirstPause; ; pause = Longer(pause))
        {
            var request = describe();
            var result = await master.CallAsync(MessageKind.RegisterServer, request, Payload.Empty, CallTimeout, cancellation);
            result.Payload.Release();
            cancellation.ThrowIfCancellationRequested();
            var reply = result.IsAnswered ? result.Answer<RegisterServerReply>() : null;
            if (reply is { Status: Status.Ok } && await IsKeptAsync(reply))
            {
                _interval = reply.HeartbeatMs > 0 ? TimeSpan.FromMilliseconds(reply.HeartbeatMs) : options.HeartbeatInterval;
                _complained = false;
                logger.Registered(master.Address, reply.MasterEpoch);
                PrepareFullReport();
                return (request.Incarnation, reply);
            }
            if (reply is { Status: Status.Conflict } && reply.KnownGeneration > request.Generation)
                await RaiseGenerationAsync(reply.KnownGeneration);
            else if (reply is not { Status: Status.Ok })
                Complain(reply, result);
            await Task.Delay(Jittered(pause), time, cancellation);
        }
    }

    private async Task RaiseGenerationAsync(ulong known)
    {
        if (await raiseGeneration(known))
            _generationRaisedAt = time.GetTimestamp();
    }

    /// <summary>
    /// False: the identity did not get onto the disk, or it is a master that may not be served. It is asked for again, under the same
    /// address.
    /// </summary>
    private async Task<bool> IsKeptAsync(RegisterServerReply reply)
    {
        try
        {
            await accepted(reply);
            if (bond.Registered(reply) is not { } refusal)
                return true;
            if (!_complained)
                logger.MasterNotAccepted(master.Address, refusal);
            _complained = true;
            return false;
        }
        catch (IOException e)
        {
            logger.IdentityNotKept(e.Message);
            return false;
        }
    }

    private async Task HeartbeatAsync(ulong incarnation, RegisterServerReply registration, CancellationToken cancellation)
    {
        int failures = 0;
        var pause = FirstPause;
        for (ulong sequence = 1; ; sequence++)
        {
            // Only while the master takes it for the same directory: an older copy must not catch up by itself.
            if (_generationRaisedAt is not { } raised || time.GetElapsedTime(raised) > options.GenerationInterval)
                await RaiseGenerationAsync(known: 0);
            var request = NextHeartbeat(incarnation, registration, sequence);
            var result = await master.CallAsync(MessageKind.Heartbeat, request, Payload.Empty, CallTimeout, cancellation);
            result.Payload.Release();
            cancellation.ThrowIfCancellationRequested();
            if (!result.IsAnswered)
            {
                foreach (var report in request.Chunks)
                    replicas.Changed(new ChunkHandle(report.Handle));
                Complain(null, result);
                // A master that was restarted has forgotten what was reported: register again soon.
                if (result.Outcome is not CallOutcome.TimedOut || ++failures > 1)
                    return;
                continue;
            }
            failures = 0;
            var reply = result.Answer<HeartbeatReply>();
            if (reply.Status != Status.Ok || reply.MasterEpoch != registration.MasterEpoch)
                return;
            await bond.HeardAsync(registration.MasterEpoch, registration.MasterNonce, reply.Position);
            _results.RemoveRange(0, request.Results.Count);
            if (!request.Serves)
            {
                // What it wants meanwhile, it says again.
                if (reply.Elected && await IsAcceptedAsync(registration))
                    continue;
                if (_fullReport.Count == 0)
                    await commands.WaitForResultAsync(pause < _interval ? pause : _interval, time, cancellation);
                pause = pause * 2 < LongestPauseOfAnElection ? pause * 2 : LongestPauseOfAnElection;
                continue;
            }
            foreach (var command in reply.Commands)
                commands.Start(command);
            foreach (var lease in reply.Leases)
            {
                if (replicas.TryGet(new ChunkHandle(lease.Handle), out var replica))
                    replica.Post(new LeaseRenewed(lease.Version, TimeSpan.FromMilliseconds(lease.LeaseMs)));
            }
            if (_fullReport.Count == 0)
                await commands.WaitForResultAsync(_interval, time, cancellation);
        }
    }

    /// <summary>False: it did not get onto the disk; the next heartbeat is another occasion.</summary>
    private async Task<bool> IsAcceptedAsync(RegisterServerReply registration)
    {
        try
        {
            await bond.AcceptAsync(registration);
            _complained = false;
            return true;
        }
        catch (IOException e)
        {
            if (!_complained)
                logger.IdentityNotKept(e.Message);
            _complained = true;
            return false;
        }
    }

    private HeartbeatRequest NextHeartbeat(ulong incarnation, RegisterServerReply registration, ulong sequence)
    {
        var about = describe();
        var request = new HeartbeatRequest
        {
            ServerId = about.ServerId,
            Incarnation = incarnation,
            Sequence = sequence,
            CapacityBytes = about.CapacityBytes,
            FreeBytes = about.FreeBytes,
            Generation = about.Generation,
            MasterEpoch = registration.MasterEpoch,
            MasterNonce = registration.MasterNonce,
            Serves = bond.StandingOf(registration.MasterEpoch, registration.MasterNonce) == CallerStanding.Served,
        };
        if (_fullReport.Count > 0 || sequence == 1)
        {
            while (request.Chunks.Count < ReportsPerPage && _fullReport.TryDequeue(out var report))
                request.Chunks.Add(report);
            request.ReportComplete = _fullReport.Count == 0;
        }
        else
        {
            foreach (var handle in replicas.TakeChanged())
                request.Chunks.Add(replicas.TryGet(handle, out var replica) ? replica.Report : new ChunkReport { Handle = handle.Value, Gone = true });
        }
        commands.TakeResults(_results);
        request.Results.AddRange(_results);
        return request;
    }

    private void PrepareFullReport()
    {
        replicas.TakeChanged();
        _fullReport.Clear();
        foreach (var replica in replicas.All())
            _fullReport.Enqueue(replica.Report);
    }

    private void Complain(RegisterServerReply? reply, in CallResult result)
    {
        if (_complained)
            return;
        _complained = true;
        if (reply is not null)
            logger.RegistrationRefused(master.Address, reply.Detail);
        else if (result.Outcome == CallOutcome.Refused)
            logger.RegistrationRefused(master.Address, result.Detail ?? "");
        else
            logger.MasterUnreachable(master.Address, result.Detail ?? result.Outcome.ToString());
    }

    private static TimeSpan Longer(TimeSpan pause) => pause * 2 < LongestPause ? pause * 2 : LongestPause;

    private TimeSpan Jittered(TimeSpan pause) => pause * (0.5 + random.NextDouble() / 2);
}
