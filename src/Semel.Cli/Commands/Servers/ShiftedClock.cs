using System.Globalization;

namespace Semel.Cli.Commands.Servers;

/// <summary>
/// A wall clock that can jump while timers and timestamps go on as before, as when an administrator or a time service sets the machine's clock.
/// </summary>
internal sealed class ShiftedClock(TimeProvider inner) : TimeProvider
{
    private long _shiftMs;

    public override long TimestampFrequency => inner.TimestampFrequency;
    public override TimeZoneInfo LocalTimeZone => inner.LocalTimeZone;

    /// <summary>Carries out <c>clock MS</c>; other lines mean nothing.</summary>
    public void Obey(string line)
    {
        if (line.StartsWith("clock ", StringComparison.Ordinal) && long.TryParse(line.AsSpan(6), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long ms))
            Volatile.Write(ref _shiftMs, ms);
    }

    public override DateTimeOffset GetUtcNow() => inner.GetUtcNow().AddMilliseconds(Volatile.Read(ref _shiftMs));

    public override long GetTimestamp() => inner.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => inner.CreateTimer(callback, state, dueTime, period);
}
