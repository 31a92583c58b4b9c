using Microsoft.Extensions.Logging;
using Semel.Protocol.Messages;
using Semel.Protocol.Scheduling;

namespace Semel.ChunkServer.Registration;

/// <summary>
/// Carries out the master's commands, each once, and keeps their results for the next heartbeat. The master repeats a command until it has
/// its result, so an id that is known is not started again.
/// </summary>
internal sealed class CommandRunner(Func<Command, Task<CommandResult>> carryOut, ILogger logger)
{
    /// <summary>Ids of finished commands that are remembered, the oldest given up first.</summary>
    private const int RememberedIds = 10_000;

    private readonly Lock _gate = new();
    private readonly HashSet<ulong> _known = [];            // guarded by _gate
    private readonly Queue<ulong> _finished = new();        // guarded by _gate
    private readonly List<CommandResult> _results = [];     // guarded by _gate
    private TaskCompletionSource _resultCame = NewSignal(); // guarded by _gate

    public void Start(Command command)
    {
        lock (_gate)
        {
            if (!_known.Add(command.CommandId))
                return;
        }
        _ = RunAsync(command);
    }

    public void TakeResults(List<CommandResult> target)
    {
        lock (_gate)
        {
            target.AddRange(_results);
            _results.Clear();
            if (_resultCame.Task.IsCompleted)
                _resultCame = NewSignal();
        }
    }

    /// <summary>There is something else to tell the master, or to ask it.</summary>
    public void Wake()
    {
        lock (_gate)
            _resultCame.TrySetResult();
    }

    /// <summary>Ends early when there is something to tell the master.</summary>
    public async Task WaitForResultAsync(TimeSpan atMost, TimeProvider time, CancellationToken cancellation)
    {
        Task came;
        lock (_gate)
            came = _resultCame.Task;
        try
        {
            await came.WithinAsync(atMost, time, cancellation);
        }
        catch (TimeoutException)
        {
            lock (_gate)
            {
                if (_resultCame.Task == came && !came.IsCompleted)
                    _resultCame = NewSignal();     // or it would gather a continuation with each heartbeat
            }
        }
    }

    private async Task RunAsync(Command command)
    {
        CommandResult result;
        try
        {
            result = await carryOut(command);
        }
        catch (Exception e)
        {
            result = new CommandResult { Status = Status.DiskFailed, Detail = e.Message };
        }
        result.CommandId = command.CommandId;
        if (result.Status != Status.Ok)
            logger.CommandFailed(command.CommandId, $"{result.Status}: {result.Detail}");
        lock (_gate)
        {
            _results.Add(result);
            _finished.Enqueue(command.CommandId);
            if (_finished.Count > RememberedIds)
                _known.Remove(_finished.Dequeue());
            _resultCame.TrySetResult();
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
