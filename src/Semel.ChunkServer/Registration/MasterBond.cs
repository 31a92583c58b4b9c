using Microsoft.Extensions.Logging;
using Semel.Protocol.Messages;
using Semel.Protocol.Scheduling;
using Semel.Storage.DataDirectories;

namespace Semel.ChunkServer.Registration;

/// <summary>How a master that calls stands to the one that this server serves.</summary>
internal enum CallerStanding
{
    /// <summary>It is the one.</summary>
    Served = 1,

    /// <summary>Its epoch is higher: it may become the one when the server registers with it.</summary>
    Newer = 2,

    /// <summary>It was replaced, or is a second one that began the same epoch on a copy of the log.</summary>
    Foreign = 3,
}

/// <summary>
/// The one master that this server serves, remembered durably (<see cref="KnownMaster"/>). It becomes another one in two steps: the server
/// registers with that one, which compares what the server remembers with its own log; and it accepts it for ever when that one says that
/// enough servers have registered. Not sooner: an old master that only meets servers which were away must not be remembered as the right
/// one's successor. A call from a newer master waits for the second step. Whatever comes from any other master is refused.
/// </summary>
internal sealed class MasterBond(DataDirectory directory, TimeProvider time, ILogger logger)
{
    /// <summary>The position is no promise to anybody: it need not be written with each heartbeat.</summary>
    private static readonly TimeSpan PositionInterval = TimeSpan.FromSeconds(2);

    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = NewSignal();    // guarded by _gate
    private long? _heardAt;                                 // guarded by _gate
    private KnownMaster? _heard;                            // guarded by _gate
    private long? _positionWrittenAt;                       // owned by the session
    private bool _complained;                               // owned by the session

    public KnownMaster Known => directory.Master;

    public CallerStanding StandingOf(ulong epoch, ulong nonce)
    {
        var known = Known;
        return known.IsSame(epoch, nonce) ? CallerStanding.Served : epoch > known.Epoch ? CallerStanding.Newer : CallerStanding.Foreign;
    }

    /// <summary>What a master that is not served is told.</summary>
    public string RefusalOf(ulong epoch)
    {
        var known = Known;
        return epoch > known.Epoch ? $"This chunk server has not accepted the master of epoch {epoch} yet; it serves one of epoch {known.Epoch}."
            : epoch == known.Epoch ? $"This chunk server serves another master of epoch {epoch}: two masters run on copies of one data directory. Stop this one, or that one."
            : $"This chunk server serves a master of epoch {known.Epoch}, and this one is of epoch {epoch}: it was replaced, or its data directory is an older copy. Stop it.";
    }

    /// <summary>Step 1: a master has taken the registration. Null: it may become the one. Otherwise why it may not.</summary>
    public string? Registered(RegisterServerReply reply)
    {
        var known = Known;
        if (StandingOf(reply.MasterEpoch, reply.MasterNonce) == CallerStanding.Foreign)
            return RefusalOf(reply.MasterEpoch);
        if (reply.MasterNonce == 0 && known.Nonce != 0)
            return "The master is an older version of Semel, which cannot tell whether its log has everything that this server has heard of. Start the newer version.";
        Heard(new KnownMaster(reply.MasterEpoch, reply.MasterNonce, 0));
        return null;
    }

    /// <summary>Step 2: takes the master of that registration for its own, durably.</summary>
    /// <exception cref="IOException">The disk failed: the server does not serve that master.</exception>
    public async ValueTask AcceptAsync(RegisterServerReply reply)
    {
        var known = Known;
        if (reply.AcceptsLoss)
            logger.LossAccepted(known.Epoch, known.Position, reply.MasterEpoch);
        await directory.SetMasterAsync(new KnownMaster(reply.MasterEpoch, reply.MasterNonce, 0));
        lock (_gate)
        {
            _changed.TrySetResult();
            _changed = NewSignal();
        }
    }

    /// <summary>
    /// The master that the server has registered with answered a heartbeat. If it is the one that it serves, it remembers how long its log
    /// is, from time to time.
    /// </summary>
    public async ValueTask HeardAsync(ulong epoch, ulong nonce, ulong position)
    {
        Heard(new KnownMaster(epoch, nonce, position));
        if (!Known.IsSame(epoch, nonce) || position <= Known.Position || (_positionWrittenAt is { } at && time.GetElapsedTime(at) < PositionInterval))
            return;
        _positionWrittenAt = time.GetTimestamp();
        try
        {
            await directory.SetMasterAsync(Known with { Position = position });
            _complained = false;
        }
        catch (IOException e)
        {
            if (!_complained)
                logger.PositionNotKept(e.Message);
            _complained = true;
        }
    }

    /// <summary>Waits until the server has accepted a master of this epoch, or a higher one, but not longer than the limit.</summary>
    public async Task AcceptedAsync(ulong epoch, TimeSpan limit, CancellationToken cancellation)
    {
        long began = time.GetTimestamp();
        while (Known.Epoch < epoch)
        {
            Task changed;
            lock (_gate)
                changed = _changed.Task;
            var rest = limit - time.GetElapsedTime(began);
            if (Known.Epoch >= epoch || rest <= TimeSpan.Zero)
                return;
            try
            {
                await changed.WithinAsync(rest, time, cancellation);
            }
            catch (TimeoutException)
            {
                return;
            }
        }
    }

    /// <summary>For a master that asks.</summary>
    public KnownMasterReply Describe(ulong serverId, string masterAddress)
    {
        var known = Known;
        long? heardAt;
        KnownMaster? heard;
        lock (_gate)
            (heardAt, heard) = (_heardAt, _heard);
        return new KnownMasterReply
        {
            Status = Status.Ok,
            ServerId = serverId,
            ClusterId = directory.ClusterId ?? "",
            Epoch = known.Epoch,
            Nonce = known.Nonce,
            Position = known.Position,
            HeardMs = heardAt is { } at ? (long)time.GetElapsedTime(at).TotalMilliseconds : -1,
            MasterAddress = masterAddress,
            HeardEpoch = heard?.Epoch ?? 0,
            HeardNonce = heard?.Nonce ?? 0,
        };
    }

    private void Heard(KnownMaster master)
    {
        lock (_gate)
            (_heardAt, _heard) = (time.GetTimestamp(), master);
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
