using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Cli.Hosting;

/// <summary>A chunk server as the master sees it: part of <c>semel cluster status --json</c> and <c>/api/v1/status</c>.</summary>
internal sealed record ServerReport(
    string Id, string Address, bool Alive, ulong CapacityBytes, ulong FreeBytes, ulong Chunks, ulong Leases, long SilentMs);

/// <summary>The cluster as the master sees it: <c>semel cluster status --json</c> and <c>/api/v1/status</c>.</summary>
internal sealed record ClusterReport(
    string ClusterId, ulong MasterEpoch, bool Recovering, ulong Files, ulong Directories, ulong Chunks, ulong UnderReplicated,
    uint ChunkCapacity, uint Replicas, IReadOnlyList<ServerReport> Servers)
{
    public static ClusterReport Of(ClusterStatusReply reply) => new(
        reply.ClusterId, reply.MasterEpoch, reply.Recovering, reply.Files, reply.Directories, reply.Chunks, reply.UnderReplicated,
        reply.ChunkCapacity, reply.Replicas,
        [.. reply.Servers.Select(s => new ServerReport(
            new ServerId(s.Server.ServerId).ToString(), s.Server.Address, s.Alive, s.CapacityBytes, s.FreeBytes, s.Chunks, s.Leases, s.SilentMs))]);
}
