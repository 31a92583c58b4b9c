using Semel.Master.Chunks;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Namespace;

/// <summary>A file or a directory in the tree.</summary>
internal abstract class Node(string name, DirectoryNode? parent, long createdMs)
{
    /// <summary>The last component of its path; empty for the root.</summary>
    public string Name { get; } = name;

    public DirectoryNode? Parent { get; } = parent;
    public long CreatedMs { get; } = createdMs;

    public string Path => Parent is null ? "/" : Parent.Parent is null ? "/" + Name : $"{Parent.Path}/{Name}";
}

internal sealed class DirectoryNode(string name, DirectoryNode? parent, long createdMs) : Node(name, parent, createdMs)
{
    private static readonly Comparer<Node> ByName = Comparer<Node>.Create(static (a, b) => string.CompareOrdinal(a.Name, b.Name));

    /// <summary>Null while the directory is empty: most trees have many small directories.</summary>
    private SortedSet<Node>? _children;

    public int Count => _children?.Count ?? 0;

    /// <summary>In ordinal order of their names.</summary>
    public IEnumerable<Node> Children => _children ?? Enumerable.Empty<Node>();

    /// <summary>The children whose names come after the name, in order.</summary>
    public IEnumerable<Node> ChildrenAfter(string name)
    {
        if (_children is not { Count: > 0 })
            return [];
        if (name.Length == 0)
            return _children;
        var last = _children.Max!;
        // The probe sorts right behind the name itself: no name has a NUL.
        var probe = new FileNode(name + "\0", null, 0, default, default);
        return ByName.Compare(probe, last) > 0 ? [] : _children.GetViewBetween(probe, last);
    }

    public Node? Find(string name) =>
        _children is not null && _children.TryGetValue(new FileNode(name, null, 0, default, default), out var child) ? child : null;

    public bool Add(Node child) => (_children ??= new SortedSet<Node>(ByName)).Add(child);

    public bool Remove(Node child) => _children is not null && _children.Remove(child);
}

/// <summary>What is fixed at a file's creation.</summary>
/// <param name="Replicas">Copies wanted of each chunk.</param>
/// <param name="ChunkCapacity">Bytes; a file's offsets are multiples of it, so it never changes for a file.</param>
internal readonly record struct FileSettings(byte Replicas, Durability Durability, uint ChunkCapacity);

internal sealed class FileNode(string name, DirectoryNode? parent, long createdMs, FileId id, FileSettings settings) : Node(name, parent, createdMs)
{
    private List<Chunk>? _chunks;
    private Dictionary<string, Writer>? _writers;

    public FileId Id { get; } = id;
    public FileSettings Settings { get; } = settings;

    /// <summary>Of the base that follows the last sealed chunk.</summary>
    public uint BaseDigest { get; set; }

    /// <summary>Flows that began before the deletion must not go on.</summary>
    public bool IsDeleted { get; set; }

    public int ChunkCount => _chunks?.Count ?? 0;
    public IReadOnlyList<Chunk> Chunks => _chunks ?? (IReadOnlyList<Chunk>)[];
    public Chunk? Tail => _chunks?[^1];
    public int WriterCount => _writers?.Count ?? 0;

    public void Add(Chunk chunk) => (_chunks ??= new List<Chunk>(1)).Add(chunk);

    public Writer? FindWriter(string name) => _writers is not null && _writers.TryGetValue(name, out var writer) ? writer : null;

    public void SetWriter(string name, Writer writer) => (_writers ??= new Dictionary<string, Writer>(1, StringComparer.Ordinal))[name] = writer;

    public bool RemoveWriter(string name) => _writers is not null && _writers.Remove(name);

    /// <summary>Those with the ids, by name; in the order of the names.</summary>
    public IEnumerable<KeyValuePair<string, Writer>> FindWriters(HashSet<WriterId> ids) =>
        (_writers ?? []).Where(w => ids.Contains(w.Value.Id)).OrderBy(w => w.Key, StringComparer.Ordinal);

    public IEnumerable<KeyValuePair<string, Writer>> WritersByName() =>
        (_writers ?? []).OrderBy(w => w.Key, StringComparer.Ordinal);
}

/// <summary>A writer's identity and its newest incarnation.</summary>
/// <param name="IsEphemeral">Nobody will come back with its name.</param>
/// <param name="HasExpired">The file may have forgotten it: it cannot be resumed.</param>
internal readonly record struct Writer(WriterId Id, uint Epoch, bool IsEphemeral, bool HasExpired);
