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
/// The one master that this server serves, remembered durably (<see cref="KnownMaster"/>). Only a registration makes it another one, because there the master has compared what the server
/// remembers with its own log; a call from a newer master waits for that. Whatever comes from any other master is refused.
/// </summary>
internal sealed class MasterBond(DataDirectory directory, TimeProvider time, ILogger logger)
{
    /// <summary>The position is no promise to anybody: it need not be written with each heartbeat.</summary>
    private static readonly TimeSpan PositionInterval = TimeSpan.FromSeconds(2);

    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = NewSignal();    // guarded by _gate
    private long? _heardAt;                                 // guarded by _gate
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
        return epoch > known.Epoch ? $"This chunk server has not registered with the master of epoch {epoch} yet; it serves one of epoch {known.Epoch}."
            : epoch == known.Epoch ? $"This chunk server serves another master of epoch {epoch}: two masters run on copies of one data directory. Stop this one, or that one."
            : $"This chunk server serves a master of epoch {known.Epoch}, and this one is of epoch {epoch}: it was replaced, or its data directory is an older copy. Stop it.";
    }

    /// <summary>
    /// Takes the master of an accepted registration for its own, durably. Null: done. Otherwise why not.
    /// </summary>
    /// <exception cref="IOException">The disk failed; the registration does not count.</exception>
    public async ValueTask<string?> AcceptAsync(RegisterServerReply reply)
    {
        var known = Known;
        bool isSame = known.IsSame(reply.MasterEpoch, reply.MasterNonce);
        if (!isSame && reply.MasterEpoch <= known.Epoch)
            return RefusalOf(reply.MasterEpoch);
        if (!isSame && reply.MasterNonce == 0 && known.Nonce != 0)
            return "The master is an older version of Semel, which cannot tell whether its log has everything that this server has heard of. Start the newer version.";
        if (reply.AcceptsLoss)
            logger.LossAccepted(known.Epoch, known.Position, reply.MasterEpoch);
        if (!isSame)
            await directory.SetMasterAsync(new KnownMaster(reply.MasterEpoch, reply.MasterNonce, 0));
        lock (_gate)
        {
            _heardAt = time.GetTimestamp();
            _changed.TrySetResult();
            _changed = NewSignal();
        }
        return null;
    }

    /// <summary>The master answered a heartbeat. Remembers how long its log is, from time to time.</summary>
    public async ValueTask HeardAsync(ulong position)
    {
        lock (_gate)
            _heardAt = time.GetTimestamp();
        if (position <= Known.Position || (_positionWrittenAt is { } at && time.GetElapsedTime(at) < PositionInterval))
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

    /// <summary>Waits until the server has registered with a master of this epoch, or a higher one, but not longer than the limit.</summary>
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
        lock (_gate)
            heardAt = _heardAt;
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
        };
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
