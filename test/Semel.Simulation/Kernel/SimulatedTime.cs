namespace Semel.Simulation.Kernel;

/// <summary>A process's clocks: a wall clock that may be wrong and jump, a monotonic clock and timers that drift.</summary>
internal sealed class SimulatedTime(SimulatedProcess process, ProcessClock clock) : TimeProvider
{
    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private TimeSpan _offset = clock.Offset;

    public override long TimestampFrequency => 1_000_000_000;
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    public override long GetTimestamp() => Local(process.World.NowNs);
    public override DateTimeOffset GetUtcNow() => (Epoch + _offset).AddTicks(Local(process.World.NowNs) / 100);

    /// <summary>Someone sets the wall clock.</summary>
    public void Jump(TimeSpan by) => _offset += by;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private long Local(long ns) => ns + ns / 1_000_000 * clock.DriftPpm;

    /// <summary>True nanoseconds that pass while this clock advances by <paramref name="local"/>.</summary>
    private long TrueNs(TimeSpan local) => (long)((Int128)local.Ticks * 100 * 1_000_000 / (1_000_000 + clock.DriftPpm));

    private sealed class Timer(SimulatedTime time, TimerCallback callback, object? state) : ITimer
    {
        private int _generation;
        private TimeSpan _period;

        private SimulatedProcess Process => time.Owner;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _generation++;
            _period = period;
            if (dueTime >= TimeSpan.Zero)
                Arm(dueTime);
            return true;
        }

        private void Arm(TimeSpan due)
        {
            var world = Process.World;
            long at = world.NowNs + time.TrueNs(due) + world.DrawTimerLatenessNs();
            world.At(at, Process, static s => ((Ring)s!).Invoke(), new Ring(this, _generation));
        }

        public void Dispose() => _generation++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }

        private sealed class Ring(Timer timer, int generation)
        {
            public void Invoke()
            {
                if (generation != timer._generation)
                    return;
                if (timer._period > TimeSpan.Zero)
                    timer.Arm(timer._period);
                timer.Invoke();
            }
        }

        private void Invoke() => callback(state);
    }

    private SimulatedProcess Owner => process;
}
