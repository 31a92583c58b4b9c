using System.Net.Sockets;
using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport.Connections;
using Semel.Transport.Framing;

namespace Semel.Transport.Calls;

/// <summary>
/// All calls to one address, over one connection at a time.
/// <code>
/// Idle --a call--> Dialing --greeted--> Connected --it ends--> Idle, or Dialing when calls wait
///                     +-----failed----> Idle                   (waiting calls end as unreachable)
/// </code>
/// An attempt to connect does not begin before the back-off of the one before is over; calls wait for it. A call that came
/// before its connection had room waits too, in order.
/// </summary>
internal sealed class SocketLink(string address, SocketWire wire) : ILink, IThreadPoolWorkItem
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, PendingCall> _calls = [];      // guarded by _gate
    private readonly LinkedList<PendingCall> _waiting = [];           // guarded by _gate
    private readonly DeadlineWheel _deadlines = new(wire.NowMs);      // guarded by _gate
    private readonly List<PendingCall> _due = [];                     // owned by the sweep
    private DialedConnection? _connection;                            // guarded by _gate
    private bool _maintaining;                                        // guarded by _gate; MaintainAsync runs
    private TaskCompletionSource? _stopped;                           // guarded by _gate; set by StopAsync
    private ulong _lastId;                                            // guarded by _gate
    private int _failures;                                            // owned by MaintainAsync
    private string? _lastRefusal;                                     // owned by MaintainAsync
    private long _notBeforeMs;                                        // owned by MaintainAsync

    public string Address => address;

    public bool HasCalls
    {
        get
        {
            lock (_gate)
                return _calls.Count > 0;
        }
    }

    public ValueTask<CallResult> CallAsync(
        MessageKind kind, IMessage header, Payload payload, TimeSpan timeout, CancellationToken cancellation = default)
    {
        int headerLength = header.CalculateSize();
        if (wire.Exceeds(headerLength, payload.Length) is { } excess)
            return FailAtOnce(payload, CallOutcome.Refused, $"the {kind} request has {excess}");
        if (cancellation.IsCancellationRequested)
            return FailAtOnce(payload, CallOutcome.Canceled, $"the {kind} call was cancelled before it began");
        if (timeout <= TimeSpan.Zero && timeout != Timeout.InfiniteTimeSpan)
            return FailAtOnce(payload, CallOutcome.TimedOut, $"the {kind} call had no time left");

        var call = new PendingCall(this, kind, header, payload) { HeaderLength = headerLength, PayloadCrc = payload.Crc };
        if (cancellation.CanBeCanceled)
            call.Registration = cancellation.UnsafeRegister(static (state, _) => ((PendingCall)state!).Cancel(), call);
        bool startsMaintaining = false;
        lock (_gate)
        {
            if (_stopped is null && _calls.Count < wire.Options.MaxCallsPerLink)
            {
                call.Id = ++_lastId;
                call.DeadlineMs = wire.NowMs + MillisecondsOf(timeout);
                _calls.Add(call.Id, call);
                _deadlines.Add(call);
                if (_connection is null || _waiting.Count > 0 || !TrySubmit(call))
                    call.Place = _waiting.AddLast(call);
                startsMaintaining = !_maintaining;
                _maintaining = true;
            }
        }
        if (call.Id == 0)
        {
            call.Registration.Unregister();
            return FailAtOnce(payload, CallOutcome.Unreachable, _stopped is not null
                ? $"the {wire.Options.Role} is shutting down"
                : $"{wire.Options.MaxCallsPerLink} calls to {address} are open already");
        }
        if (startsMaintaining)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);   // away from the caller's context
        if (cancellation.IsCancellationRequested)
            CancelCall(call);
        wire.SweepSoon();
        return call.Task;
    }

    /// <summary>A reply has come. A call that has ended meanwhile needs it no more.</summary>
    /// <returns>Null, or why the peer cannot be talked to any more.</returns>
    public string? Answer(ulong callId, MessageKind kind, in CallResult result)
    {
        PendingCall? call;
        lock (_gate)
        {
            if (_calls.TryGetValue(callId, out call) && call.Kind == kind)
                Take(call);
            else if (call is not null)
                return $"the peer answered a {call.Kind} call with a {kind} reply";
        }
        if (call is null)
            result.Payload.Release();
        else
            call.End(result);
        return null;
    }

    public void Refuse(ulong callId, string reason)
    {
        PendingCall? call;
        lock (_gate)
        {
            if (_calls.TryGetValue(callId, out call))
                Take(call);
        }
        call?.End(CallResult.Failed(CallOutcome.Refused, $"{address} refused the {call.Kind} call: {reason}"));
    }

    /// <summary>The connection's queue may take more.</summary>
    public void OnRoom(DialedConnection connection)
    {
        lock (_gate)
        {
            if (_connection == connection)
                SubmitWaiting();
        }
    }

    /// <summary>Ends the calls whose time is over. One sweep at a time.</summary>
    public void Sweep(long nowMs)
    {
        bool connected;
        lock (_gate)
        {
            connected = _connection is not null;
            _deadlines.Sweep(nowMs, _due);
            foreach (var call in _due)
                TakeAndCancel(call);
        }
        foreach (var call in _due)
        {
            call.End(call.Connection is not null
                ? CallResult.Failed(CallOutcome.TimedOut, $"{address} did not answer the {call.Kind} call in time")
                : connected
                ? CallResult.Failed(CallOutcome.TimedOut, $"{address} did not take the {call.Kind} call in time: too much waits to be sent to it")
                : CallResult.Failed(CallOutcome.Unreachable, $"no connection to {address} was there for the {call.Kind} call in time"));
        }
        _due.Clear();
    }

    /// <summary>Ends all calls and the connection, for good.</summary>
    public async Task StopAsync(string reason)
    {
        DialedConnection? connection;
        TaskCompletionSource stopped;
        lock (_gate)
        {
            stopped = _stopped ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (!_maintaining)
                stopped.TrySetResult();
            connection = _connection;
        }
        connection?.EndWithGoodbye(reason);
        await stopped.Task;
    }

    void IThreadPoolWorkItem.Execute() => _ = MaintainAsync();

    /// <summary>Connects, serves the connection until it ends, and connects again as long as calls wait.</summary>
    private async Task MaintainAsync()
    {
        do
        {
            var (connection, outcome, detail) = await DialAsync();
            if (connection is null)
            {
                _failures++;
                FailAll(static call => call.Connection is null, _ => CallResult.Failed(outcome, detail));
            }
            else
            {
                _failures = 0;
                lock (_gate)
                {
                    _connection = connection;
                    SubmitWaiting();
                    if (_stopped is not null)
                        connection.End("it is not needed any more");
                }
                await connection.RunAsync();
                wire.Logger.ConnectionEnded(connection.Peer, connection.EndReason!);
                lock (_gate)
                    _connection = null;
                FailAll(call => call.Connection == connection, call => EndOfConnection(connection, call));
            }
            _notBeforeMs = wire.NowMs + wire.BackOffMs(_failures);
        }
        while (GoesOn());
    }

    /// <summary>Waits for the back-off, then makes one attempt. Never throws.</summary>
    private async Task<(DialedConnection? Connection, CallOutcome Outcome, string Detail)> DialAsync()
    {
        try
        {
            long waitMs = _notBeforeMs - wire.NowMs;
            if (waitMs > 0)
                await Task.Delay(TimeSpan.FromMilliseconds(waitMs), wire.Time, wire.Stopping);
            var (socket, refusal) = await Dialer.ConnectAsync(address, wire);
            if (socket is null && refusal != _lastRefusal)
                wire.Logger.PeerRefused(address, refusal!);   // not again with every attempt
            _lastRefusal = refusal;
            return socket is null
                ? (null, CallOutcome.Refused, refusal!)
                : (new DialedConnection(socket, wire, address, this), default, "");
        }
        catch (OperationCanceledException)
        {
            return (null, CallOutcome.Unreachable, $"the {wire.Options.Role} is shutting down");
        }
        catch (DialFailedException e)
        {
            wire.Logger.DialFailed(address, e.Message);
            return (null, CallOutcome.Unreachable, $"no connection to {address}: {e.Message}");
        }
        catch (Exception e)
        {
            wire.Logger.ConnectionFailed(address, e);
            return (null, CallOutcome.Unreachable, $"no connection to {address}: {e.Message}");
        }
    }

    private bool GoesOn()
    {
        bool stops;
        lock (_gate)
        {
            stops = _stopped is not null;
            if (!stops && _waiting.Count > 0)
                return true;
            if (!stops)
                _maintaining = false;
        }
        if (!stops)
            return false;
        FailAll(static _ => true, _ => CallResult.Failed(CallOutcome.Unreachable, $"the {wire.Options.Role} is shutting down"));
        _stopped!.TrySetResult();
        return false;
    }

    private CallResult EndOfConnection(DialedConnection connection, PendingCall call) => connection.WasSent(call)
        ? CallResult.Failed(CallOutcome.ConnectionLost, $"the connection to {address} ended before the {call.Kind} call was answered: {connection.EndReason}")
        : CallResult.Failed(CallOutcome.Unreachable, $"the connection to {address} ended before the {call.Kind} call was sent: {connection.EndReason}");

    private void FailAll(Func<PendingCall, bool> which, Func<PendingCall, CallResult> result)
    {
        List<PendingCall> failed = [];
        lock (_gate)
        {
            failed.AddRange(_calls.Values.Where(which));
            failed.Sort(static (a, b) => a.Id.CompareTo(b.Id));
            foreach (var call in failed)
                Take(call);
        }
        foreach (var call in failed)
            call.End(result(call));
    }

    /// <summary>The caller waits no more. Does nothing before the call is in the table or after its end.</summary>
    public void CancelCall(PendingCall call)
    {
        lock (_gate)
        {
            if (call.Id == 0 || !_calls.ContainsKey(call.Id))
                return;
            TakeAndCancel(call);
        }
        call.End(CallResult.Failed(CallOutcome.Canceled, $"the {call.Kind} call was cancelled"));
    }

    /// <summary>On the gate: the call is the caller's to end.</summary>
    private void Take(PendingCall call)
    {
        _calls.Remove(call.Id);
        _deadlines.Remove(call);
        if (call.Place is null)
            return;
        _waiting.Remove(call.Place);
        call.Place = null;
        call.Payload.Release();
    }

    /// <summary>On the gate: as <see cref="Take"/>, and the peer need not go on.</summary>
    private void TakeAndCancel(PendingCall call)
    {
        Take(call);
        call.Connection?.Cancel(call.Id);
    }

    /// <summary>On the gate.</summary>
    private void SubmitWaiting()
    {
        while (_waiting.First is { } place && TrySubmit(place.Value))
        {
            place.Value.Place = null;
            _waiting.RemoveFirst();
        }
    }

    /// <summary>On the gate.</summary>
    private bool TrySubmit(PendingCall call)
    {
        long leftMs = Math.Clamp(call.DeadlineMs - wire.NowMs, 1, uint.MaxValue);
        if (_connection!.Submit(call, (uint)leftMs) is not EnqueueResult.Queued)
            return false;
        call.Connection = _connection;
        call.Payload = default;
        return true;
    }

    private static ValueTask<CallResult> FailAtOnce(Payload payload, CallOutcome outcome, string detail)
    {
        payload.Release();
        return new ValueTask<CallResult>(CallResult.Failed(outcome, detail));
    }

    private static long MillisecondsOf(TimeSpan timeout) =>
        timeout == Timeout.InfiniteTimeSpan ? int.MaxValue : (long)Math.Min(Math.Ceiling(timeout.TotalMilliseconds), int.MaxValue);
}
