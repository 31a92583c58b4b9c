using System.Diagnostics.CodeAnalysis;
using System.Text;
using Semel.Master.Chunks;
using Semel.Master.OperationLog;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Naming;

namespace Semel.Master.Namespace;

/// <summary>Files and directories: checks what is asked, then logs it.</summary>
internal sealed class NamespaceCalls(MasterServices services)
{
    private const uint DefaultLimit = 1000;
    private const uint MaxLimit = 10_000;

    /// <summary>A listing is cut into pages of about this size, so that a reply stays a small message.</summary>
    private const int PageBytes = 256 << 10;

    private NamespaceTree Tree => services.State.Namespace;

    public CreateFileReply CreateFile(CreateFileRequest request)
    {
        CreateFileReply Refuse(Refusal refusal) => new() { Status = refusal.Status, Detail = refusal.Detail };
        if (!FilePath.TryValidate(request.Path, out string? fault))
            return Refuse(new(Status.Invalid, fault));
        if (request.Replicas > MasterOptions.MaxReplicas)
            return Refuse(new(Status.Invalid, $"A file can have 1 to {MasterOptions.MaxReplicas} replicas; {request.Replicas} were asked for {request.Path}."));
        if (!Enum.IsDefined(request.Durability))
            return Refuse(new(Status.Invalid, $"The durability {(int)request.Durability} for {request.Path} is not known here. Use group or memory."));
        if (Tree.TryFind(request.Path, out var node))
        {
            if (node is not FileNode existing)
                return Refuse(new(Status.Conflict, $"{request.Path} is a directory. Choose another name for the file."));
            if (!request.OrOpen)
                return Refuse(new(Status.Conflict, $"The file {request.Path} exists already. Choose another name, or open it instead."));
            if (request.Replicas != 0 && request.Replicas != existing.Settings.Replicas)
                return Refuse(new(Status.Conflict, $"The file {request.Path} exists with {existing.Settings.Replicas} replicas, not {request.Replicas}. They are fixed at creation: open it as it is, or choose another name."));
            if (request.Durability != Durability.Unspecified && request.Durability != existing.Settings.Durability)
                return Refuse(new(Status.Conflict, $"The file {request.Path} exists with durability {Word(existing.Settings.Durability)}, not {Word(request.Durability)}. It is fixed at creation: open it as it is, or choose another name."));
            return new CreateFileReply { Status = Status.Ok, FileId = existing.Id.Value };
        }
        if (MakeParents(request.Path, request.Parents) is { } refusal)
            return Refuse(refusal);
        ulong id = services.State.NextFileId;
        services.Journal.Append(new LogEntry
        {
            FileCreated = new FileCreated
            {
                Path = request.Path,
                FileId = id,
                Replicas = request.Replicas == 0 ? (uint)services.Options.Replicas : request.Replicas,
                Durability = request.Durability == Durability.Unspecified ? Durability.Group : request.Durability,
                ChunkCapacity = services.Options.CapacityOfNewFiles,
                CreatedMs = services.WallClockMs,
            },
        });
        return new CreateFileReply { Status = Status.Ok, FileId = id, Created = true };
    }

    public MakeDirectoryReply MakeDirectory(MakeDirectoryRequest request)
    {
        MakeDirectoryReply Refuse(Refusal refusal) => new() { Status = refusal.Status, Detail = refusal.Detail };
        if (!FilePath.TryValidate(request.Path, out string? fault))
            return Refuse(new(Status.Invalid, fault));
        if (Tree.TryFind(request.Path, out var node))
        {
            if (node is FileNode)
                return Refuse(new(Status.Conflict, $"{request.Path} is a file. Choose another name for the directory."));
            return request.Parents
                ? new MakeDirectoryReply { Status = Status.Ok }
                : Refuse(new(Status.Conflict, $"The directory {request.Path} exists already."));
        }
        if (MakeParents(request.Path, request.Parents) is { } refusal)
            return Refuse(refusal);
        LogDirectory(request.Path);
        return new MakeDirectoryReply { Status = Status.Ok };
    }

    public ListDirectoryReply ListDirectory(ListDirectoryRequest request)
    {
        ListDirectoryReply Refuse(Refusal refusal) => new() { Status = refusal.Status, Detail = refusal.Detail };
        if (request.Limit > MaxLimit)
            return Refuse(new(Status.Invalid, $"The limit {request.Limit} is out of its range: 1 to {MaxLimit}."));
        if (Find(request.Path, out var node) is { } refusal)
            return Refuse(refusal);
        if (node is not DirectoryNode directory)
            return Refuse(new(Status.Conflict, $"{request.Path} is a file; only a directory can be listed."));
        var reply = new ListDirectoryReply { Status = Status.Ok };
        int limit = (int)(request.Limit == 0 ? DefaultLimit : request.Limit);
        int bytes = 0;
        foreach (var child in directory.ChildrenAfter(request.After))
        {
            if (reply.Entries.Count == limit || bytes > PageBytes)
            {
                reply.More = true;
                break;
            }
            var file = child as FileNode;
            reply.Entries.Add(new DirectoryEntry
            {
                Name = child.Name,
                Directory = file is null,
                FileId = file?.Id.Value ?? 0,
                Chunks = (uint)(file?.ChunkCount ?? 0),
                CreatedMs = child.CreatedMs,
            });
            bytes += Encoding.UTF8.GetByteCount(child.Name) + 32;
        }
        return reply;
    }

    public StatReply Stat(StatRequest request)
    {
        if (Find(request.Path, out var node) is { } refusal)
            return new StatReply { Status = refusal.Status, Detail = refusal.Detail };
        if (node is not FileNode file)
            return new StatReply { Status = Status.Ok, Directory = true, CreatedMs = node.CreatedMs };
        return new StatReply
        {
            Status = Status.Ok,
            FileId = file.Id.Value,
            Replicas = file.Settings.Replicas,
            Durability = file.Settings.Durability,
            ChunkCapacity = file.Settings.ChunkCapacity,
            Chunks = (ulong)file.ChunkCount,
            CreatedMs = file.CreatedMs,
            Writers = (uint)file.WriterCount,
            SealedBytes = (ulong)file.Chunks.Sum(c => (long)c.SealedLength),
        };
    }

    /// <param name="request">What to delete.</param>
    /// <param name="chunks">What the deleted files consisted of.</param>
    public DeleteReply Delete(DeleteRequest request, out IReadOnlyList<Chunk> chunks)
    {
        DeleteReply Refuse(Refusal refusal) => new() { Status = refusal.Status, Detail = refusal.Detail };
        chunks = [];
        if (Find(request.Path, out var node) is { } refusal)
            return Refuse(refusal);
        if (node == Tree.Root)
            return Refuse(new(Status.Invalid, "The root directory / cannot be deleted. Delete what is in it by name."));
        if (node is DirectoryNode { Count: > 0 } directory && !request.Recursive)
            return Refuse(new(Status.NotEmpty, $"The directory {request.Path} has {directory.Count} entries. Delete them first, or delete recursively."));
        var nodes = NamespaceTree.SelfAndBelow(node).ToList();
        chunks = [.. nodes.OfType<FileNode>().SelectMany(f => f.Chunks)];
        services.Journal.Append(new LogEntry { Deleted = new Deleted { Path = request.Path } });
        return new DeleteReply { Status = Status.Ok, Deleted = (ulong)nodes.Count };
    }

    /// <summary>The file at the path; with an id, only if it still is that file.</summary>
    public Refusal? FindFile(string path, ulong fileId, out FileNode file)
    {
        file = null!;
        if (Find(path, out var node) is { } refusal)
            return refusal;
        if (node is not FileNode found)
            return new(Status.Conflict, $"{path} is a directory, not a file.");
        if (fileId != 0 && fileId != found.Id.Value)
            return new(Status.NotFound, $"The file {fileId} that was {path} has been deleted; the file of that name is another one now (id {found.Id}).");
        file = found;
        return null;
    }

    private Refusal? Find(string path, [NotNull] out Node? node)
    {
        node = Tree.Root;
        if (!FilePath.TryValidate(path, out string? fault))
            return new(Status.Invalid, fault);
        if (Tree.TryFind(path, out var found))
        {
            node = found;
            return null;
        }
        return new(Status.NotFound, $"There is no file or directory {path}.");
    }

    /// <summary>Makes the directories above the path, or says which one is missing.</summary>
    private Refusal? MakeParents(string path, bool mayMake)
    {
        var missing = new List<string>();
        for (string above = path; above != "/";)
        {
            int slash = above.LastIndexOf('/');
            above = slash == 0 ? "/" : above[..slash];
            if (!Tree.TryFind(above, out var node))
                missing.Add(above);
            else if (node is FileNode)
                return new(Status.Conflict, $"{path} cannot be made: {above} is a file, not a directory.");
            else
                break;
        }
        if (missing.Count > 0 && !mayMake)
            return new(Status.NotFound, $"{path} cannot be made: the directory {missing[0]} does not exist. Make it first, or ask for missing directories to be made.");
        missing.Reverse();
        missing.ForEach(LogDirectory);
        return null;
    }

    private void LogDirectory(string path) =>
        services.Journal.Append(new LogEntry { DirectoryMade = new DirectoryMade { Path = path, CreatedMs = services.WallClockMs } });

    private static string Word(Durability durability) => durability == Durability.Memory ? "memory" : "group";
}
