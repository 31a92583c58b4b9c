using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Cluster;

/// <summary>The master's answers in the words of the public surface.</summary>
internal static class MasterAnswers
{
    public static FileStatus ToFileStatus(string path, StatReply reply) => new()
    {
        Path = path,
        IsDirectory = reply.Directory,
        FileId = reply.FileId,
        Replicas = (int)reply.Replicas,
        Durability = reply.Durability == Durability.Memory ? FileDurability.Memory : FileDurability.Group,
        ChunkCapacity = reply.ChunkCapacity,
        Chunks = (long)reply.Chunks,
        SealedBytes = (long)reply.SealedBytes,
        Writers = (int)reply.Writers,
        Created = DateTimeOffset.FromUnixTimeMilliseconds(reply.CreatedMs),
    };

    public static ListEntry ToListEntry(string directory, DirectoryEntry entry) => new(
        entry.Name,
        directory == "/" ? "/" + entry.Name : directory + "/" + entry.Name,
        entry.Directory,
        entry.FileId,
        entry.Chunks,
        DateTimeOffset.FromUnixTimeMilliseconds(entry.CreatedMs));

    public static ClusterStatus ToClusterStatus(ClusterStatusReply reply) => new()
    {
        ClusterId = reply.ClusterId,
        MasterEpoch = reply.MasterEpoch,
        Files = (long)reply.Files,
        Directories = (long)reply.Directories,
        Chunks = (long)reply.Chunks,
        UnderReplicated = (long)reply.UnderReplicated,
        ChunkCapacity = reply.ChunkCapacity,
        Replicas = (int)reply.Replicas,
        IsRecovering = reply.Recovering,
        Withholds = reply.Withholds.Length > 0 ? reply.Withholds : null,
        LossProven = (long)reply.LossProven,
        Unavailable = (long)reply.Unavailable,
        UnavailableChunks = [.. reply.UnavailableChunks.Select(c => $"{new ChunkHandle(c.Handle)} of {c.Path}: {c.Problem}")],
        ChunkServers = [.. reply.Servers.Select(ToChunkServerStatus)],
    };

    private static ChunkServerStatus ToChunkServerStatus(ServerStatus server) => new()
    {
        Id = new ServerId(server.Server.ServerId).ToString(),
        Address = server.Server.Address,
        IsAlive = server.Alive,
        CapacityBytes = (long)server.CapacityBytes,
        FreeBytes = (long)server.FreeBytes,
        Chunks = (long)server.Chunks,
        Leases = (long)server.Leases,
        Silent = TimeSpan.FromMilliseconds(server.SilentMs),
    };
}
