using Microsoft.Extensions.Logging;

namespace Semel.Transport;

/// <summary>Lines about peers that do not keep to the protocol, at most one a second: anybody can cause them.</summary>
internal sealed class FaultLog(ILogger logger, TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private long? _last;      // guarded by _gate
    private long _suppressed; // guarded by _gate

    public void Report(string peer, string fault)
    {
        long suppressed;
        lock (_gate)
        {
            long now = time.GetTimestamp();
            if (_last is { } last && time.GetElapsedTime(last, now) < Interval)
            {
                _suppressed++;
                return;
            }
            _last = now;
            suppressed = _suppressed;
            _suppressed = 0;
        }
        logger.PeerFaulted(peer, fault, suppressed);
    }
}
