using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Messages;

namespace Semel.Master.Leases;

/// <summary>
/// Leases follow the logged configurations: a primary keeps its lease for as long as it is the primary and its server is heard of. They end a primary that nobody
/// hears of; what keeps two primaries apart is the version, never a clock.
/// </summary>
internal sealed class LeaseTable(MasterServices services, ViewChanges views)
{
    /// <summary>Renewals for a heartbeat's reply. A lease lives through two replies that were lost.</summary>
    public IEnumerable<LeaseRenewal> Renew(KnownServer server)
    {
        if (server.LeasesRenewedAt is { } last && services.Since(last) < services.Options.LeaseDuration / 4)
            return [];
        server.LeasesRenewedAt = services.Now;
        return services.State.OpenChunksOf(server.Id)
            .Where(c => !views.IsRunning(c))
            .Select(c => new LeaseRenewal { Handle = c.Handle.Value, Version = c.Version, LeaseMs = (uint)services.Options.LeaseDuration.TotalMilliseconds });
    }
}
