using System.Runtime.InteropServices;

namespace Semel.Cli.Verification;

/// <summary>
/// What a cluster gives away once: ids of files, handles of chunks, ids of writers. Files that are audited with the same ledger are
/// compared with each other; it holds some 40 bytes for each chunk and each writer.
/// </summary>
internal sealed class ClusterLedger
{
    private readonly Dictionary<ulong, string> _files = [];
    private readonly Dictionary<ulong, (string Path, ulong Index)> _chunks = [];
    private readonly Dictionary<ulong, string> _writers = [];

    /// <summary>Null: nobody had the id before; else what is wrong.</summary>
    public string? FaultOfFile(ulong id, string path)
    {
        ref string? owner = ref CollectionsMarshal.GetValueRefOrAddDefault(_files, id, out bool isKnown);
        if (isKnown && owner != path)
            return $"its id {id} is also that of {owner}";
        owner = path;
        return null;
    }

    public string? FaultOfChunk(ulong handle, string path, ulong index)
    {
        ref var place = ref CollectionsMarshal.GetValueRefOrAddDefault(_chunks, handle, out bool isKnown);
        if (isKnown && place != (path, index))
            return $"its handle is also that of chunk {place.Index} of {place.Path}";
        place = (path, index);
        return null;
    }

    public string? FaultOfWriter(ulong id, string path)
    {
        ref string? owner = ref CollectionsMarshal.GetValueRefOrAddDefault(_writers, id, out bool isKnown);
        if (isKnown && owner != path)
            return $"writer {id} appends to {owner}, too; a writer's id is good for one file";
        owner = path;
        return null;
    }

    /// <summary>Is the chunk one of those that were audited?</summary>
    public bool Knows(ulong handle) => _chunks.ContainsKey(handle);
}
