namespace Semel.Simulation.Kernel;

/// <summary>How a process's clock differs from true time.</summary>
/// <param name="DriftPpm">Millionths by which it runs too fast.</param>
/// <param name="Offset">What its wall clock shows too much.</param>
internal readonly record struct ProcessClock(int DriftPpm, TimeSpan Offset);

/// <summary>
/// One incarnation of a process: everything it does runs here, in the world's one thread. A dead one runs nothing and changes
/// nothing any more, even in the middle of a step; a paused one (SIGSTOP) does later what it would have done.
/// </summary>
internal sealed class SimulatedProcess : SynchronizationContext
{
    private readonly Queue<(SendOrPostCallback, object?)> _held = new();
    private readonly List<Action> _onDeath = [];
    private long _lastPostNs;
    private int _effectsLeft;
    private Action? _deathAtEffect;

    internal SimulatedProcess(SimulatedWorld world, int number, string name, ProcessClock clock, SimulatedRandom random)
    {
        World = world;
        Number = number;
        Name = name;
        Random = random;
        Time = new SimulatedTime(this, clock);
    }

    public SimulatedWorld World { get; }
    public int Number { get; }
    public string Name { get; }
    public SimulatedTime Time { get; }

    /// <summary>For the code in the process.</summary>
    public SimulatedRandom Random { get; }

    public bool IsAlive { get; private set; } = true;
    public bool IsPaused { get; private set; }

    /// <summary>Posted steps may overtake each other, as on a thread pool. Off: first posted, first run, as on one SerialContext.</summary>
    public bool Scrambles { get; set; }

    /// <summary>Runs when the process dies: what a kernel does for it (closes connections, frees locks).</summary>
    public void OnDeath(Action action)
    {
        if (IsAlive)
            _onDeath.Add(action);
        else
            action();
    }

    /// <summary>kill -9.</summary>
    public void Kill()
    {
        if (!IsAlive)
            return;
        IsAlive = false;
        _held.Clear();
        World.Mark("kill", Number);
        World.Tell(Name, "killed");
        foreach (var action in _onDeath)
            action();
        _onDeath.Clear();
    }

    /// <summary>Dies in the middle of a step: before it changes something outside (writes, flushes, sends) for the n-th time.</summary>
    /// <param name="effects">How often it may still do so; at least 1.</param>
    /// <param name="die">Kills the process, one way or another.</param>
    public void DieAtEffect(int effects, Action die) => (_effectsLeft, _deathAtEffect) = (effects, die);

    /// <summary>It does not die after all.</summary>
    public void Spare() => _deathAtEffect = null;

    /// <summary>The process is about to change something outside. False: it must not any more.</summary>
    public bool MayAct()
    {
        if (_deathAtEffect is { } die && --_effectsLeft <= 0)
        {
            _deathAtEffect = null;
            World.Reached("death in the middle of a step");
            die();
        }
        return IsAlive;
    }

    /// <summary>SIGSTOP.</summary>
    public void Pause()
    {
        if (!IsAlive || IsPaused)
            return;
        IsPaused = true;
        World.Mark("pause", Number);
        World.Tell(Name, "paused");
    }

    /// <summary>SIGCONT.</summary>
    public void Resume()
    {
        if (!IsPaused)
            return;
        IsPaused = false;
        World.Mark("resume", Number);
        World.Tell(Name, "resumed");
        while (_held.TryDequeue(out var step))
            World.At(World.NowNs, this, step.Item1, step.Item2);
    }

    /// <summary>Begins a flow of the process. What it throws fails the run.</summary>
    public void Start(Func<Task> flow)
    {
        Post(static async state =>
        {
            var (process, body) = ((SimulatedProcess, Func<Task>))state!;
            try
            {
                await body();
            }
            catch (Exception e)
            {
                process.Fault(e);
            }
        }, (this, flow));
    }

    /// <summary>Begins a flow and gives its end to the caller, who runs in another process.</summary>
    public Task<T> Start<T>(Func<Task<T>> flow)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        OnDeath(() => done.TrySetException(new ProcessDiedException(Name)));
        Post(async _ =>
        {
            try
            {
                done.TrySetResult(await flow());
            }
            catch (Exception e)
            {
                done.TrySetException(e);
            }
        }, null);
        return done.Task;
    }

    public override void Post(SendOrPostCallback d, object? state)
    {
        long at = World.NowNs + World.DrawStepDelayNs();
        if (!Scrambles)
            at = _lastPostNs = Math.Max(at, _lastPostNs);
        World.At(at, this, d, state);
    }

    public override void Send(SendOrPostCallback d, object? state) =>
        throw new NotSupportedException("Nothing blocks a thread in the simulation. Post instead.");

    public override SynchronizationContext CreateCopy() => this;

    internal void Execute(SendOrPostCallback callback, object? state)
    {
        if (!IsAlive)
            return;
        if (IsPaused)
        {
            _held.Enqueue((callback, state));
            return;
        }
        var previous = Current;
        var outer = World.Running;
        SetSynchronizationContext(this);
        World.Running = this;
        try
        {
            callback(state);
        }
        catch (Exception e)
        {
            Fault(e);
        }
        finally
        {
            World.Running = outer;
            SetSynchronizationContext(previous);
        }
    }

    private void Fault(Exception e)
    {
        if (IsAlive)
            World.Fail($"{Name}: nobody caught {e}");
    }
}

/// <summary>The process that was waited for was killed.</summary>
internal sealed class ProcessDiedException(string name) : Exception($"{name} was killed");
