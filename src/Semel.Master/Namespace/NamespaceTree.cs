using System.Diagnostics.CodeAnalysis;
using Semel.Master.Chunks;
using Semel.Protocol;
using Semel.Protocol.Identity;
using Semel.Protocol.Naming;

namespace Semel.Master.Namespace;

/// <summary>All directories and files. Changed only by applied log entries.</summary>
internal sealed class NamespaceTree
{
    /// <summary>File ids are given in order, so a table finds them.</summary>
    private readonly DenseTable<FileNode> _files = new();

    public DirectoryNode Root { get; } = new("", null, 0);
    public long FileCount { get; private set; }

    /// <summary>With the root.</summary>
    public long DirectoryCount { get; private set; } = 1;

    /// <summary>The node at a valid path.</summary>
    public bool TryFind(string path, [NotNullWhen(true)] out Node? node)
    {
        node = Root;
        foreach (string component in FilePath.Split(path))
        {
            node = (node as DirectoryNode)?.Find(component);
            if (node is null)
                return false;
        }
        return true;
    }

    public FileNode? Find(FileId id) => _files[id.Value];

    public DirectoryNode AddDirectory(string path, long createdMs)
    {
        var parent = ParentOf(path, out string name);
        var directory = new DirectoryNode(name, parent, createdMs);
        Invariant.Holds(parent.Add(directory));
        DirectoryCount++;
        return directory;
    }

    public FileNode AddFile(string path, FileId id, FileSettings settings, long createdMs)
    {
        var parent = ParentOf(path, out string name);
        var file = new FileNode(name, parent, createdMs, id, settings);
        Invariant.Holds(parent.Add(file));
        Invariant.Holds(_files[id.Value] is null);
        _files[id.Value] = file;
        FileCount++;
        return file;
    }

    /// <summary>Takes the node and all below it out of the tree. Returns the files among them.</summary>
    public IReadOnlyList<FileNode> Remove(string path)
    {
        bool found = TryFind(path, out var node);
        Invariant.Holds(found);
        Invariant.Holds(node!.Parent is not null);
        Invariant.Holds(node.Parent.Remove(node));
        var files = new List<FileNode>();
        foreach (var below in SelfAndBelow(node))
        {
            if (below is not FileNode file)
            {
                DirectoryCount--;
                continue;
            }
            file.IsDeleted = true;
            _files[file.Id.Value] = null;
            FileCount--;
            files.Add(file);
        }
        return files;
    }

    /// <summary>The node and everything below it, parents first, names in order.</summary>
    public static IEnumerable<Node> SelfAndBelow(Node node)
    {
        // No recursion: a path of 4,096 bytes can be 2,048 deep.
        var stack = new Stack<Node>();
        stack.Push(node);
        while (stack.TryPop(out var next))
        {
            yield return next;
            if (next is DirectoryNode directory)
            {
                foreach (var child in directory.Children.Reverse())
                    stack.Push(child);
            }
        }
    }

    private DirectoryNode ParentOf(string path, out string name)
    {
        int slash = path.LastIndexOf('/');
        name = path[(slash + 1)..];
        bool found = TryFind(slash == 0 ? "/" : path[..slash], out var parent);
        Invariant.Holds(found);
        var directory = parent as DirectoryNode;
        Invariant.Holds(directory is not null);
        return directory;
    }
}
