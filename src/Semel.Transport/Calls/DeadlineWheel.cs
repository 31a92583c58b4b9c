namespace Semel.Transport.Calls;

/// <summary>
/// Deadlines of many calls at 10 ms granularity, without a timer each: a ring of slots, each a list of the calls whose
/// deadline falls into it in this turn of the ring or a later one. Not thread-safe.
/// </summary>
internal sealed class DeadlineWheel
{
    public const int TickMs = 10;
    private const int Slots = 512;

    private readonly PendingCall?[] _slots = new PendingCall?[Slots];
    private long _tick;   // the last one that was swept

    public DeadlineWheel(long nowMs) => _tick = nowMs / TickMs;

    public void Add(PendingCall call)
    {
        ref var slot = ref SlotOf(call);
        call.Later = slot;
        if (slot is not null)
            slot.Earlier = call;
        slot = call;
    }

    public void Remove(PendingCall call)
    {
        if (call.Earlier is null)
            SlotOf(call) = call.Later;
        else
            call.Earlier.Later = call.Later;
        if (call.Later is not null)
            call.Later.Earlier = call.Earlier;
        call.Earlier = call.Later = null;
    }

    /// <summary>Adds to <paramref name="due"/> what is due; the caller removes it.</summary>
    public void Sweep(long nowMs, List<PendingCall> due)
    {
        long last = nowMs / TickMs - 1;   // a tick is swept when it is over, so that nothing ends early
        long first = Math.Max(_tick + 1, last - Slots + 1);
        for (long tick = first; tick <= last; tick++)
        {
            for (var call = _slots[tick % Slots]; call is not null; call = call.Later)
            {
                if (call.DeadlineMs <= nowMs)
                    due.Add(call);
            }
        }
        _tick = Math.Max(_tick, last);
    }

    private ref PendingCall? SlotOf(PendingCall call) => ref _slots[call.DeadlineMs / TickMs % Slots];
}
