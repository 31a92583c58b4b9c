using Semel.Master.Chunks;
using Semel.Protocol.Identity;

namespace Semel.Master.Servers;

/// <summary>
/// Chooses servers for replicas. Better first: those that nobody accused of late and that could make the replicas they were asked for, then
/// those that are wanted (they have the file's writer table already), then those with more free space (in steps of a twentieth of the
/// capacity, so that all new chunks do not go to one server), then those with fewer leases, then chance.
/// </summary>
internal sealed class Placement(MasterServices services, ServerRegistry servers)
{
    /// <summary>An accused server is the last choice for this long.</summary>
    private static readonly TimeSpan AccusationLasts = TimeSpan.FromSeconds(10);

    /// <param name="count">At most so many.</param>
    /// <param name="bytes">Free space that each must have.</param>
    /// <param name="preferred">Chosen first, if they are eligible.</param>
    /// <param name="except">Never chosen.</param>
    public IReadOnlyList<KnownServer> Choose(int count, uint bytes, ServerSet preferred, IReadOnlySet<ServerId> except) =>
        count <= 0
            ? []
            : [.. servers.Alive
                .Where(s => s.Serves && HasSpace(s, bytes) && !except.Contains(s.Id))
                .Select(s => (Server: s, Draw: services.Random.Next()))
                .OrderBy(c => IsLastChoice(c.Server))
                .ThenByDescending(c => preferred.Contains(c.Server.Id))
                .ThenByDescending(c => FreeTwentieths(c.Server))
                .ThenBy(c => services.State.LeasesOf(c.Server.Id))
                .ThenBy(c => c.Draw)
                .Take(count)
                .Select(c => c.Server)];

    /// <summary>The one of the servers with the fewest leases.</summary>
    public ServerId LeastBurdened(IReadOnlyList<ServerId> among)
    {
        int fewest = among.Min(services.State.LeasesOf);
        var candidates = among.Where(s => services.State.LeasesOf(s) == fewest).ToList();
        return candidates[services.Random.Next(candidates.Count)];
    }

    /// <summary>Healthy servers with room for a replica, besides those given.</summary>
    public int SparesFor(ServerSet members, uint bytes) =>
        servers.Alive.Count(s => s.Serves && !members.Contains(s.Id) && HasSpace(s, bytes) && !IsLastChoice(s));

    /// <summary>A server that does not say how large it is may be as large as it likes.</summary>
    private static bool HasSpace(KnownServer server, uint bytes) => server.CapacityBytes == 0 || server.FreeBytes >= bytes;

    private static ulong FreeTwentieths(KnownServer server) => server.FreeBytes / Math.Max(1, server.CapacityBytes / 20);

    private bool IsLastChoice(KnownServer server) => (server.AccusedAt is { } at && services.Since(at) < AccusationLasts) || services.Now < server.UnfitUntil;
}
