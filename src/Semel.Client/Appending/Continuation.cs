using System.Threading.Tasks.Sources;
using Semel.Client.Cluster;

namespace Semel.Client.Appending;

/// <summary>What waits for a batch. It is always scheduled, never run in place: no code of the caller runs inside the writer.</summary>
internal readonly struct Continuation
{
    private readonly Action<object?> _run;
    private readonly object? _state;
    private readonly object? _scheduler;
    private readonly ExecutionContext? _flow;

    private Continuation(Action<object?> run, object? state, object? scheduler, ExecutionContext? flow)
    {
        _run = run;
        _state = state;
        _scheduler = scheduler;
        _flow = flow;
    }

    public static Continuation Capture(Action<object?> run, object? state, ValueTaskSourceOnCompletedFlags flags)
    {
        object? scheduler = null;
        if ((flags & ValueTaskSourceOnCompletedFlags.UseSchedulingContext) != 0)
        {
            var context = SynchronizationContext.Current;
            if (context is not null && context.GetType() != typeof(SynchronizationContext))
                scheduler = context;
            else if (TaskScheduler.Current != TaskScheduler.Default)
                scheduler = TaskScheduler.Current;
        }
        var flow = (flags & ValueTaskSourceOnCompletedFlags.FlowExecutionContext) != 0 ? ExecutionContext.Capture() : null;
        return new Continuation(run, state, scheduler, flow);
    }

    public void Schedule(Signals signals)
    {
        if (_scheduler is null && _flow is null)
        {
            signals.Run(_run, _state);
            return;
        }
        var self = this;
        switch (_scheduler)
        {
            case SynchronizationContext context:
                context.Post(static s => ((Action)s!)(), (Action)(() => self.Run()));
                break;
            case TaskScheduler scheduler:
                Task.Factory.StartNew(self.Run, CancellationToken.None, TaskCreationOptions.DenyChildAttach, scheduler);
                break;
            default:
                signals.Run(self.Run);
                break;
        }
    }

    private void Run()
    {
        if (_flow is null)
        {
            _run(_state);
            return;
        }
        var self = this;
        ExecutionContext.Run(_flow, _ => self._run(self._state), null);
    }
}
