using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Runtime.ExceptionServices;
using Semel.Protocol;

namespace Semel.Simulation.Kernel;

/// <summary>
/// Virtual time, one queue of events, one thread, chance from a seed. Everything that happens in a run happens here, in an
/// order that the seed alone decides: the same seed gives the same <see cref="TraceHash"/>, bit for bit.
/// </summary>
internal sealed class SimulatedWorld
{
    [ThreadStatic]
    private static SimulatedWorld? s_running;

    private readonly EventQueue _events = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly SimulatedRandom _schedule;
    private readonly TextWriter? _trace;
    private long _sequence;
    private int _processes;
    private string? _escaped;   // set by the foreign thread, read by the loop

    static SimulatedWorld() => AppDomain.CurrentDomain.FirstChanceException += OnException;

    /// <param name="seed">Decides the run.</param>
    /// <param name="trace">Gets a readable line for each thing worth telling; has no influence on the run.</param>
    public SimulatedWorld(ulong seed, TextWriter? trace = null)
    {
        Seed = seed;
        _trace = trace;
        Random = new SimulatedRandom(seed);
        _schedule = Random.Fork();
    }

    public ulong Seed { get; }

    /// <summary>For whoever builds the run. Parts that draw while it goes on take a <see cref="SimulatedRandom.Fork"/> each.</summary>
    public SimulatedRandom Random { get; }

    /// <summary>True time since the run began.</summary>
    public long NowNs { get; private set; }

    public TimeSpan Now => new(NowNs / 100);

    public long EventCount { get; private set; }

    /// <summary>Over every event, and everything that was told with <see cref="Mark"/>: the identity of the run.</summary>
    public ulong TraceHash { get; private set; } = 14695981039346656037UL;

    /// <summary>The first thing that went wrong; null as long as nothing did.</summary>
    public string? Failure { get; private set; }

    public bool IsTracing => _trace is not null;

    /// <summary>The process whose step runs now.</summary>
    public SimulatedProcess? Running { get; internal set; }

    /// <summary>Named events that were reached, with how often: a suite that never meets a case proves nothing about it.</summary>
    public SortedDictionary<string, int> Coverage { get; } = new(StringComparer.Ordinal);

    public void Reached(string mark) => Coverage[mark] = Coverage.GetValueOrDefault(mark) + 1;

    public SimulatedProcess StartProcess(string name, ProcessClock clock = default) => new(this, ++_processes, name, clock, Random.Fork());

    /// <summary>Schedules a step of a process (or, without one, of the environment).</summary>
    public void At(long atNs, SimulatedProcess? process, SendOrPostCallback callback, object? state)
    {
        if (IsOnThread())
            _events.Enqueue(new SimulatedEvent(Math.Max(atNs, NowNs), _sequence++, process, callback, state));
    }

    public void After(TimeSpan delay, Action action) => After(delay, null, action);

    public void After(TimeSpan delay, SimulatedProcess? process, Action action) =>
        At(NowNs + delay.Ticks * 100, process, static state => ((Action)state!)(), action);

    /// <summary>How long the scheduler lets a step wait.</summary>
    internal long DrawStepDelayNs() => _schedule.Below(3_000);

    /// <summary>How late a timer rings.</summary>
    internal long DrawTimerLatenessNs() => _schedule.Below(20_000);

    /// <summary>Runs events until the condition holds. False: it went wrong, see <see cref="Failure"/>.</summary>
    /// <param name="limit">Virtual time by which it must hold.</param>
    /// <param name="what">For the message when it does not.</param>
    /// <param name="excuse">Asked when the time is up; true: it could not hold, and nothing is wrong with that.</param>
    public bool RunUntil(Func<bool> condition, TimeSpan limit, string what, Func<bool>? excuse = null)
    {
        var outer = s_running;
        s_running = this;
        try
        {
            long deadline = NowNs + limit.Ticks * 100;
            while (Failure is null && !condition())
            {
                if (Volatile.Read(ref _escaped) is { } escaped)
                    Fail(escaped);
                else if (!_events.TryDequeue(out var next))
                    Fail($"stuck: nothing is left to happen while waiting for {what}");
                else if (next.AtNs > deadline && excuse?.Invoke() == true)
                    return false;
                else if (next.AtNs > deadline)
                    Fail($"no progress: {limit.TotalSeconds:0.###} virtual seconds were not enough for {what}");
                else
                    Step(next);
            }
            return Failure is null;
        }
        finally
        {
            s_running = outer;
        }
    }

    private void Step(in SimulatedEvent next)
    {
        NowNs = next.AtNs;
        EventCount++;
        Mix((ulong)NowNs ^ (ulong)(next.Process?.Number ?? 0) << 48);
        if (next.Process is { } process)
        {
            process.Execute(next.Callback, next.State);
            return;
        }
        try
        {
            next.Callback(next.State);
        }
        catch (Exception e)
        {
            Fail($"the environment: {e}");
        }
    }

    /// <summary>Ends the run as a violation. The first reason stays.</summary>
    public void Fail(string why)
    {
        if (Failure is null)
        {
            Failure = why;
            Mark("failure");
        }
        Tell("VIOLATION", why);
    }

    /// <summary>Makes something part of the run's identity, and of its readable trace.</summary>
    public void Mark(string what, long a = 0, long b = 0, long c = 0, long d = 0)
    {
        if (!IsOnThread())
            return;
        foreach (char ch in what)
            Mix(ch);
        Mix((ulong)a);
        Mix((ulong)b);
        Mix((ulong)c);
        Mix((ulong)d);
    }

    /// <summary>A line for people. Format its text only when <see cref="IsTracing"/>.</summary>
    public void Tell(string who, string text) =>
        _trace?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{NowNs / 1000,12} us  {who,-14} {text}"));

    private void Mix(ulong x) =>
        TraceHash = BitOperations.RotateLeft(TraceHash ^ x * 0x9E3779B97F4A7C15UL, 27) * 0x3C79AC492BA7B653UL + 0x1C69B3F74AC4AE35UL;

    /// <summary>Code that left the scheduler (a pool thread, a wall-clock timer) ends the run: nothing after it can be replayed.</summary>
    private bool IsOnThread()
    {
        if (Environment.CurrentManagedThreadId == _thread)
            return true;
        Interlocked.CompareExchange(ref _escaped, $"off thread: code escaped the simulation's scheduler at\n{new StackTrace(2, true)}", null);
        return false;
    }

    /// <summary>A broken invariant fails the run even if the code under test swallows it.</summary>
    private static void OnException(object? sender, FirstChanceExceptionEventArgs args)
    {
        if (args.Exception is InvariantViolationException broken && s_running is { } world && world.Running is { IsAlive: true } process)
            world.Fail($"{process.Name}: {broken.Message}\n{new StackTrace(1, true)}");
    }
}
