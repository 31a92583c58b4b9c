using System.Net.Sockets;
using Semel.Transport.Framing;

namespace Semel.Transport.Connections;

/// <summary>What became of a frame that was to be sent.</summary>
internal enum EnqueueResult
{
    /// <summary>It will be sent unless the connection ends. The queue owns its payload.</summary>
    Queued,

    /// <summary>No room now; <c>roomed</c> is called when there is some. The payload is still the caller's.</summary>
    Full,

    /// <summary>The connection has ended. The payload is still the caller's.</summary>
    Closed,
}

/// <summary>
/// Frames on their way into one socket. Senders serialize into the batch that is being filled while the batch before it is
/// being sent, so that whatever comes during one system call goes out with the next. At most <c>bound</c> bytes wait.
/// </summary>
/// <param name="socket">Where to. Its owner closes it; the queue stops when sending fails.</param>
/// <param name="bound">Bytes that may wait or be under way; one frame is taken whatever its size.</param>
/// <param name="roomed">Called after each batch, on no lock.</param>
/// <param name="failed">Called once when sending has failed, on no lock.</param>
internal sealed class SendQueue(Socket socket, int bound, Action roomed, Action<Exception> failed) : IThreadPoolWorkItem
{
    private readonly Lock _gate = new();
    private SendBatch _filling = new();      // guarded by _gate
    private SendBatch _sending = new();      // owned by the drain that runs
    private int _queuedBytes;                // guarded by _gate; both batches
    private bool _draining;                  // guarded by _gate
    private bool _closed;                    // guarded by _gate
    private TaskCompletionSource? _drained;  // guarded by _gate; set by CloseAsync
    private long _batch = 1;                 // guarded by _gate; number of the batch that is being filled

    public bool IsFull
    {
        get
        {
            lock (_gate)
                return _queuedBytes >= bound;
        }
    }

    /// <summary>Frames with a batch number below this were given to the kernel, at least in part.</summary>
    public long FirstUnsentBatch
    {
        get
        {
            lock (_gate)
                return _batch;
        }
    }

    /// <param name="frame">What to send.</param>
    /// <param name="force">Take it beyond the bound: small control frames, and replies, whose number is bounded by the calls in progress.</param>
    /// <param name="batch">The batch it is in.</param>
    public EnqueueResult Enqueue(in OutgoingFrame frame, bool force, out long batch)
    {
        lock (_gate)
        {
            batch = _batch;
            if (_closed)
                return EnqueueResult.Closed;
            if (!force && _queuedBytes > 0 && _queuedBytes + frame.TotalLength > bound)
                return EnqueueResult.Full;
            int length = frame.TotalLength;
            _filling.Append(frame);
            _queuedBytes += length;
            if (_draining)
                return EnqueueResult.Queued;
            _draining = true;
        }
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return EnqueueResult.Queued;
    }

    /// <summary>Takes nothing more after this small frame, and sends it if that needs no waiting.</summary>
    public void SendLast(in OutgoingFrame frame)
    {
        lock (_gate)
        {
            if (_closed || _draining)
                return;
            _closed = true;
        }
        var batch = new SendBatch();
        batch.Append(frame);
        try
        {
            if (socket.Poll(TimeSpan.Zero, SelectMode.SelectWrite))
                socket.Send(batch.Segments);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The peer notices the end anyway.
        }
        batch.Clear();
    }

    /// <summary>Takes nothing more, waits until nothing is being sent (the socket must have been closed), and releases what was not sent.</summary>
    public async ValueTask CloseAsync()
    {
        TaskCompletionSource? drained = null;
        lock (_gate)
        {
            _closed = true;
            if (_draining)
                drained = _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        if (drained is not null)
            await drained.Task;
        _filling.Clear();
    }

    void IThreadPoolWorkItem.Execute() => _ = DrainAsync();

    private async Task DrainAsync()
    {
        try
        {
            while (true)
            {
                lock (_gate)
                {
                    if (_closed || _filling.IsEmpty)
                    {
                        _draining = false;
                        _drained?.TrySetResult();
                        return;
                    }
                    (_filling, _sending) = (_sending, _filling);
                    _batch++;
                }
                int bytes = _sending.Bytes;
                try
                {
                    await _sending.SendAsync(socket);
                }
                finally
                {
                    _sending.Clear();
                }
                lock (_gate)
                    _queuedBytes -= bytes;
                roomed();
            }
        }
        catch (Exception e)
        {
            lock (_gate)
            {
                _closed = true;
                _draining = false;
                _drained?.TrySetResult();
            }
            failed(e);
        }
    }
}
