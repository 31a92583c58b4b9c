namespace Semel.Client.Appending;

/// <summary>
/// How long to wait for a primary's answer before asking the master about it: four times the slowest recent answer, doubled with each silence in
/// a row, 2 s to 16 s. A busy primary is not mistaken for a dead one, and a retry is harmless anyway. Not thread-safe.
/// </summary>
internal sealed class Patience
{
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Most = TimeSpan.FromSeconds(16);

    private TimeSpan _slowest;

    /// <summary>Silences since the last answer.</summary>
    public int Silences { get; private set; }

    public TimeSpan Timeout
    {
        get
        {
            var wait = _slowest * 4;
            wait = (wait < Least ? Least : wait) * (1 << Math.Min(Silences, 3));
            return wait > Most ? Most : wait;
        }
    }

    public void Answered(TimeSpan after)
    {
        Silences = 0;
        _slowest = after > _slowest ? after : (_slowest * 0.9) + (after * 0.1);
    }

    public void Silent() => Silences++;
}
