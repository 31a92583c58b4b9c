using System.Threading.Tasks.Sources;
using Semel.Client.Cluster;
using Semel.Protocol.Identity;

namespace Semel.Client.Appending;

/// <summary>
/// One record's wait that can end before its batch does, by a token or by time. The record is then in doubt; the batch goes on.
/// </summary>
internal sealed class AppendWaiter : IValueTaskSource<AppendResult>
{
    private readonly Signals _signals;
    private readonly Batch _batch;
    private readonly int _index;
    private readonly OperationId _operation;
    private readonly TimeSpan? _timeout;
    private readonly CancellationToken _cancellation;
    private ManualResetValueTaskSourceCore<AppendResult> _core;
    private CancellationTokenRegistration _registration;
    private ITimer? _timer;
    private int _over;

    private AppendWaiter(Signals signals, Batch batch, int index, OperationId operation, TimeSpan? timeout, CancellationToken cancellation)
    {
        _batch = batch;
        _index = index;
        _operation = operation;
        _timeout = timeout;
        _cancellation = cancellation;
        _signals = signals;
        _core.RunContinuationsAsynchronously = signals.Ambient is null;
    }

    public static ValueTask<AppendResult> Start(
        Signals signals, Batch batch, int index, OperationId operation, TimeSpan? timeout, TimeProvider time, CancellationToken cancellation)
    {
        var waiter = new AppendWaiter(signals, batch, index, operation, timeout, cancellation);
        if (!batch.TryAttach(waiter))
            return batch.TaskOf(index);
        if (timeout is { } limit)
            waiter._timer = time.CreateTimer(static s => ((AppendWaiter)s!).OnTimeout(), waiter, limit, Timeout.InfiniteTimeSpan);
        waiter._registration = cancellation.UnsafeRegister(static s => ((AppendWaiter)s!).OnCanceled(), waiter);
        if (Volatile.Read(ref waiter._over) != 0)
            waiter.Forget();
        return new ValueTask<AppendResult>(waiter, waiter._core.Version);
    }

    public void OnBatchOver()
    {
        if (Interlocked.Exchange(ref _over, 1) != 0)
            return;
        Forget();
        try
        {
            Set(_batch.ResultOf(_index), null);
        }
        catch (SemelException failure)
        {
            Set(default, failure);
        }
    }

    private void OnTimeout()
    {
        if (Interlocked.Exchange(ref _over, 1) != 0)
            return;
        Forget();
        Set(default, AppendDoubt.TimedOut(_operation, _timeout!.Value));
    }

    private void OnCanceled()
    {
        if (Interlocked.Exchange(ref _over, 1) != 0)
            return;
        Forget();
        Set(default, new AppendCanceledException(
            $"The wait for record {_operation} was cancelled; it may still get into the file.", _operation, _cancellation));
    }

    private void Set(AppendResult result, Exception? failure)
    {
        if (_signals.Ambient is not null)
            _signals.Run(() => SetHere(result, failure));
        else
            SetHere(result, failure);
    }

    private void SetHere(AppendResult result, Exception? failure)
    {
        if (failure is null)
            _core.SetResult(result);
        else
            _core.SetException(failure);
    }

    private void Forget()
    {
        _registration.Unregister();
        _timer?.Dispose();
    }

    ValueTaskSourceStatus IValueTaskSource<AppendResult>.GetStatus(short token) => _core.GetStatus(token);

    AppendResult IValueTaskSource<AppendResult>.GetResult(short token) => _core.GetResult(token);

    void IValueTaskSource<AppendResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}
