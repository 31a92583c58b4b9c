using Microsoft.Extensions.Logging;
using Semel.Protocol.Identity;
using Semel.Storage.Disks;

namespace Semel.Storage.DataDirectories;

/// <summary>
/// A server's data directory, held exclusively by this process, and the identity that it gives the server: its role for ever, its cluster and id once they are
/// known. The rest of the directory belongs to the role.
/// </summary>
public sealed class DataDirectory : IDisposable
{
    private const string LockFile = "LOCK";
    private const string IdentityFile = "identity";
    private const string TemporaryFile = "identity.tmp";

    private readonly IDisk _disk;
    private readonly IDisposable _lock;
    private readonly ILogger _logger;
    private readonly MasterFile _master;
    private DataDirectoryIdentity _identity;

    private DataDirectory(IDisk disk, IDisposable held, DataDirectoryIdentity identity, MasterFile master, ILogger logger)
    {
        _master = master;
        Generation = GenerationFile.Read(disk);
        _disk = disk;
        _lock = held;
        _identity = identity;
        _logger = logger;
    }

    /// <summary>The directory is a server's; which one's, <see cref="OpenAsync"/> says.</summary>
    public static bool Exists(IDisk disk) => disk.FileExists(IdentityFile);

    /// <summary>Opens the directory, or makes an empty one that of the role. Its identity is durable on return.</summary>
    /// <param name="disk">The directory; its <see cref="object.ToString"/> names it in messages.</param>
    /// <param name="role">Who opens it.</param>
    /// <param name="logger">For the creation.</param>
    /// <exception cref="DataDirectoryException">It belongs to another role, to a newer version, to no server at all, or is damaged.</exception>
    /// <exception cref="IOException">Another process holds it, or the disk failed.</exception>
    public static async ValueTask<DataDirectory> OpenAsync(IDisk disk, ServerRole role, ILogger logger)
    {
        // Before the lock, so that nothing is left in a directory that is not ours.
        if (!disk.FileExists(IdentityFile))
            RefuseForeign(disk);
        var held = disk.Lock(LockFile);
        try
        {
            DataDirectoryIdentity identity;
            if (disk.FileExists(IdentityFile))
            {
                identity = Read(disk, role);
                await GenerationFile.MakeDurableAsync(disk);
                disk.Delete(TemporaryFile);
                // The process before may have been killed between its rename and its flush.
                await disk.FlushDirectoryAsync("");
            }
            else
            {
                identity = new DataDirectoryIdentity(role, null, null);
                await WriteAsync(disk, identity);
                logger.DataDirectoryCreated($"{disk}", DataDirectoryIdentity.WordOf(role));
            }
            return new DataDirectory(disk, held, identity, await MasterFile.OpenAsync(disk), logger);
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    public ServerRole Role => _identity.Role;

    /// <summary>Null until the directory belongs to a cluster.</summary>
    public string? ClusterId => _identity.ClusterId;

    /// <summary>Null until the server has its id; a master has none.</summary>
    public ServerId? ServerId => _identity.ServerId;

    /// <summary>A number that only grows; 0: none was ever set. A copy of the directory that was put back has an older one.</summary>
    public ulong Generation { get; private set; }

    /// <summary>Raises the <see cref="Generation"/>; durable on return. One call at a time.</summary>
    /// <exception cref="IOException">The disk failed; the generation is the old one or the new one.</exception>
    public async ValueTask SetGenerationAsync(ulong generation)
    {
        if (generation <= Generation)
            throw new ArgumentOutOfRangeException(nameof(generation), $"The generation {generation} is not above {Generation}.");
        await GenerationFile.WriteAsync(_disk, generation);
        Generation = generation;
    }

    /// <summary>The master that a chunk server accepted last.</summary>
    public KnownMaster Master => _master.Known;

    /// <summary>
    /// Remembers the master; durable on return. An epoch never goes back, and of one epoch there is one master. One call at a time.
    /// </summary>
    /// <exception cref="IOException">The disk failed; the old one or the new one is remembered.</exception>
    public async ValueTask SetMasterAsync(KnownMaster master)
    {
        if (master.Epoch < Master.Epoch || (master.Epoch == Master.Epoch && (master.Nonce != Master.Nonce || master.Position < Master.Position)))
            throw new ArgumentOutOfRangeException(nameof(master), $"{master} does not follow {Master}.");
        if (master != Master)
            await _master.WriteAsync(master);
    }

    /// <summary>
    /// Binds the directory to the cluster and the server, for ever; durable on return. Saying the same again does nothing. An interrupted call leaves the old
    /// identity or the new one. One call at a time.
    /// </summary>
    /// <param name="clusterId">1 to 64 visible ASCII characters.</param>
    /// <param name="serverId">A chunk server's id; null for a master, or when it is not known yet.</param>
    /// <exception cref="DataDirectoryException">The directory belongs to another cluster or server.</exception>
    public async ValueTask SetIdentityAsync(string clusterId, ServerId? serverId)
    {
        if (!DataDirectoryIdentity.IsClusterId(clusterId))
            throw new ArgumentException($"The cluster id '{clusterId}' must be 1 to 64 visible ASCII characters.", nameof(clusterId));
        if (ClusterId is { } cluster && cluster != clusterId)
        {
            throw new DataDirectoryException($"The data directory {_disk} belongs to the cluster {cluster}, and this is the cluster {clusterId}. "
                + "Use the master of that cluster, or an empty data directory.");
        }
        if (ServerId is { } server && serverId is { } other && server != other)
        {
            throw new DataDirectoryException($"The data directory {_disk} belongs to the server {server}, and this one was told to be {other}. "
                + "Use the directory of that server, or an empty one.");
        }
        var identity = _identity with { ClusterId = clusterId, ServerId = serverId ?? ServerId };
        if (identity == _identity)
            return;
        await WriteAsync(_disk, identity);
        _identity = identity;
        _logger.DataDirectoryBound($"{_disk}", clusterId, identity.ServerId?.ToString() ?? "none");
    }

    public void Dispose() => _lock.Dispose();

    private static void RefuseForeign(IDisk disk)
    {
        var strangers = disk.ListFiles("").Except([LockFile, TemporaryFile]).Concat(disk.ListDirectories("").Except(["lost+found"]));
        if (strangers.FirstOrDefault(name => !name.StartsWith('.')) is { } stranger)
        {
            throw new DataDirectoryException($"The directory {disk} has no file '{IdentityFile}', so it is no data directory of Semel, but it is not empty either: "
                + $"it has '{stranger}'. Give an empty directory, or put the file back.");
        }
    }

    private static DataDirectoryIdentity Read(IDisk disk, ServerRole role)
    {
        var bytes = new byte[DataDirectoryIdentity.MaxBytes];
        int length;
        using (var file = disk.Open(IdentityFile, create: false))
            length = file.Read(0, bytes);
        if (!DataDirectoryIdentity.TryRead(bytes.AsSpan(0, length), out var identity, out string? fault))
            throw new DataDirectoryException($"The file '{IdentityFile}' of the data directory {disk} {fault}.");
        if (identity.Role != role)
        {
            throw new DataDirectoryException($"The data directory {disk} belongs to a {DataDirectoryIdentity.WordOf(identity.Role)}, "
                + $"and a {DataDirectoryIdentity.WordOf(role)} was started on it. Give each server a directory of its own.");
        }
        return identity;
    }

    /// <summary>Written beside and renamed, so that there always is a whole one.</summary>
    private static async ValueTask WriteAsync(IDisk disk, DataDirectoryIdentity identity)
    {
        disk.Delete(TemporaryFile);
        using (var file = disk.Open(TemporaryFile, create: true))
        {
            file.Write(0, identity.ToBytes());
            await file.FlushAsync();
        }
        disk.Rename(TemporaryFile, IdentityFile);
        await disk.FlushDirectoryAsync("");
    }
}

/// <summary>The data directory is not one that this server may use. The message says why and what to do.</summary>
public sealed class DataDirectoryException(string message) : IOException(message);
