using Semel.Client;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Cli.Hosting;

/// <summary>A chunk server as the master sees it: part of <c>semel cluster status --json</c> and <c>/api/v1/status</c>.</summary>
internal sealed record ServerReport(string Id, string Address, bool Alive, long CapacityBytes, long FreeBytes, long Chunks, long Leases, long SilentMs);

/// <summary>The cluster as the master sees it: <c>semel cluster status --json</c> and <c>/api/v1/status</c>.</summary>
internal sealed record ClusterReport(
    string ClusterId, ulong MasterEpoch, bool Recovering, long Files, long Directories, long Chunks, long UnderReplicated,
    long ChunkCapacity, int Replicas, string? Withholds, long LossProven, long Unavailable, IReadOnlyList<string> UnavailableChunks, IReadOnlyList<ServerReport> Servers)
{
    public static ClusterReport Of(ClusterStatus status) => new(
        status.ClusterId, status.MasterEpoch, status.IsRecovering, status.Files, status.Directories, status.Chunks, status.UnderReplicated,
        status.ChunkCapacity, status.Replicas, status.Withholds, status.LossProven, status.Unavailable, status.UnavailableChunks,
        [.. status.ChunkServers.Select(s => new ServerReport(
            s.Id, s.Address, s.IsAlive, s.CapacityBytes, s.FreeBytes, s.Chunks, s.Leases, (long)s.Silent.TotalMilliseconds))]);

    public static ClusterReport Of(ClusterStatusReply reply) => new(
        reply.ClusterId, reply.MasterEpoch, reply.Recovering, (long)reply.Files, (long)reply.Directories, (long)reply.Chunks, (long)reply.UnderReplicated,
        reply.ChunkCapacity, (int)reply.Replicas, reply.Withholds.Length > 0 ? reply.Withholds : null, (long)reply.LossProven, (long)reply.Unavailable,
        [.. reply.UnavailableChunks.Select(c => $"{new ChunkHandle(c.Handle)} of {c.Path}: {c.Problem}")],
        [.. reply.Servers.Select(s => new ServerReport(
            new ServerId(s.Server.ServerId).ToString(), s.Server.Address, s.Alive, (long)s.CapacityBytes, (long)s.FreeBytes, (long)s.Chunks, (long)s.Leases, s.SilentMs))]);
}
