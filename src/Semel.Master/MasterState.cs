using System.Globalization;
using System.Text;
using Semel.Master.Chunks;
using Semel.Master.Identity;
using Semel.Master.Namespace;
using Semel.Master.OperationLog;
using Semel.Master.Writers;
using Semel.Protocol;
using Semel.Protocol.Identity;

namespace Semel.Master;

/// <summary>
/// Everything that survives a restart of the master, in memory. It is a fold over the operation log: <see cref="Apply(LogEntry, ulong)"/> is the only way to change it,
/// and it depends on nothing but the entries. Checks come before an entry is appended; an entry that cannot be applied is a bug.
/// </summary>
internal sealed class MasterState
{
    private readonly DenseTable<Chunk> _chunks = new();
    private readonly NumberSet _everAdded = new();
    private ulong _plainHandlesEnd;     // of those that older versions of Semel gave, without an epoch
    private readonly ServerSetPool _sets = new();
    private readonly Dictionary<ServerId, HashSet<ulong>> _openByPrimary = [];
    private readonly Dictionary<ServerSet, HashSet<ulong>> _openByMembers = [];

    public string? ClusterId { get; private set; }
    public ulong Epoch { get; private set; }

    /// <summary>Of the epoch. 0: an older version of Semel began it.</summary>
    public ulong Nonce { get; private set; }

    public EpochHistory Epochs { get; } = new();
    public NamespaceTree Namespace { get; } = new();

    /// <summary>The cluster's chunk servers, as last known.</summary>
    public SortedDictionary<ServerId, AdmittedServer> Servers { get; } = [];

    public ulong NextFileId { get; private set; } = 1;
    public ulong NextWriterId { get; private set; } = 1;

    /// <summary>The writer ids that the log has given away: ids may have been left out between them.</summary>
    public IdRanges GivenWriters { get; } = new();

    /// <summary>Every handle that was ever given away is below it: the end of the epoch's.</summary>
    public ulong HandlesEnd { get; private set; } = 1;

    public long ChunkCount => _chunks.Count;

    /// <summary>Open chunks with fewer members than the file wants replicas.</summary>
    public SortedDictionary<ulong, Chunk> ShortOpenChunks { get; } = [];

    /// <summary>Replicas that know more bytes to be committed than their sealed chunk has, and how many. They are kept for ever: they may be all that is left of those records.</summary>
    public SortedDictionary<(ulong Handle, ServerId Server), uint> ProofsOfLoss { get; } = [];

    /// <summary>Open chunks by the members of their last logged configuration: many chunks share a few sets. In no order.</summary>
    public IReadOnlyDictionary<ServerSet, HashSet<ulong>> OpenChunksByMembers => _openByMembers;

    /// <summary>Open chunks that have the server as a member, in the order of their handles.</summary>
    public IReadOnlyList<Chunk> OpenChunksWith(ServerId member) =>
        [.. _openByMembers.Where(m => m.Key.Contains(member)).SelectMany(m => m.Value).Order().Select(h => _chunks[h]!)];

    public Chunk? FindChunk(ChunkHandle handle) => _chunks[handle.Value];

    /// <summary>The log once had a chunk of this handle. If it has none now, its file was deleted.</summary>
    public bool WasAdded(ChunkHandle handle) => _everAdded.Contains(handle.Value);

    /// <summary>The handle may have been given away by this log's masters, and none of what became of it is missing here.</summary>
    public bool MayHaveGiven(ChunkHandle handle) =>
        IdRange.EpochOf(handle.Value) is not 0 and var epoch ? Epochs.Knows(epoch) : handle.Value < _plainHandlesEnd;

    /// <summary>In the order of their handles. May change meanwhile.</summary>
    public IEnumerable<Chunk> Chunks() => _chunks.All();

    /// <summary>Open chunks whose configuration names the server as primary, in the order of their handles.</summary>
    public IReadOnlyList<Chunk> OpenChunksOf(ServerId primary)
    {
        if (!_openByPrimary.TryGetValue(primary, out var handles))
            return [];
        return [.. handles.Order().Select(h => _chunks[h]!)];
    }

    public int LeasesOf(ServerId primary) => _openByPrimary.TryGetValue(primary, out var handles) ? handles.Count : 0;

    /// <summary>Equal sets become one object.</summary>
    public ServerSet Share(ServerSet set) => _sets.Share(set);

    /// <param name="entry">The next one of the log.</param>
    /// <param name="number">Its number there.</param>
    public void Apply(LogEntry entry, ulong number)
    {
        switch (entry.WhatCase)
        {
            case LogEntry.WhatOneofCase.ClusterCreated:
                Invariant.Holds(ClusterId is null);
                ClusterId = entry.ClusterCreated.ClusterId;
                break;
            case LogEntry.WhatOneofCase.EpochBegun:
                Apply(entry.EpochBegun, number);
                break;
            case LogEntry.WhatOneofCase.DirectoryMade:
                Namespace.AddDirectory(entry.DirectoryMade.Path, entry.DirectoryMade.CreatedMs);
                break;
            case LogEntry.WhatOneofCase.FileCreated:
                Apply(entry.FileCreated);
                break;
            case LogEntry.WhatOneofCase.Deleted:
                Apply(entry.Deleted);
                break;
            case LogEntry.WhatOneofCase.HandlesReserved:
                Invariant.Holds(entry.HandlesReserved.End > HandlesEnd);
                HandlesEnd = _plainHandlesEnd = entry.HandlesReserved.End;
                break;
            case LogEntry.WhatOneofCase.ChunkAdded:
                Apply(entry.ChunkAdded);
                break;
            case LogEntry.WhatOneofCase.VersionReserved:
                Open(entry.VersionReserved.Handle).Reserve(entry.VersionReserved.Version);
                break;
            case LogEntry.WhatOneofCase.Configured:
                Apply(entry.Configured);
                break;
            case LogEntry.WhatOneofCase.ChunkSealed:
                Apply(entry.ChunkSealed);
                break;
            case LogEntry.WhatOneofCase.LossProven:
                Invariant.Holds(_chunks[entry.LossProven.Handle] is not null);
                ProofsOfLoss[(entry.LossProven.Handle, new ServerId(entry.LossProven.Server))] = entry.LossProven.Committed;
                break;
            case LogEntry.WhatOneofCase.WriterRegistered:
                Apply(entry.WriterRegistered);
                break;
            case LogEntry.WhatOneofCase.WriterExpired:
                Apply(entry.WriterExpired);
                break;
            case LogEntry.WhatOneofCase.WriterRetired:
                Invariant.Holds(File(entry.WriterRetired.FileId).RemoveWriter(entry.WriterRetired.Name));
                break;
            case LogEntry.WhatOneofCase.ServerAdmitted:
                Servers[new ServerId(entry.ServerAdmitted.ServerId)] = new(
                    entry.ServerAdmitted.Address, entry.ServerAdmitted.Incarnation, entry.ServerAdmitted.Generation);
                break;
            default:
                throw new IOException("The operation log has an entry that this program does not know: it was written by a newer version of Semel. Start that one.");
        }
    }

    private void Apply(EpochBegun entry, ulong number)
    {
        Invariant.Holds(entry.Epoch > Epoch);
        (Epoch, Nonce) = (entry.Epoch, entry.Nonce);
        Epochs.Begin(entry.Epoch, entry.Nonce, number, entry.AcceptsLoss);
        if (entry.Nonce == 0)
            return;     // an older version of Semel, which numbered through
        NextFileId = Math.Max(NextFileId, IdRange.FirstOf(Epoch));
        NextWriterId = Math.Max(NextWriterId, IdRange.FirstOf(Epoch));
        HandlesEnd = Math.Max(HandlesEnd, IdRange.EndOf(Epoch));
    }

    private void Apply(FileCreated entry)
    {
        Invariant.Holds(entry.FileId >= NextFileId);
        NextFileId = entry.FileId + 1;
        var settings = new FileSettings((byte)entry.Replicas, entry.Durability, entry.ChunkCapacity);
        Namespace.AddFile(entry.Path, new FileId(entry.FileId), settings, entry.CreatedMs);
    }

    private void Apply(Deleted entry)
    {
        foreach (var file in Namespace.Remove(entry.Path))
        {
            foreach (var chunk in file.Chunks)
            {
                _chunks[chunk.Handle.Value] = null;
                Forget(chunk);
                foreach (var proof in ProofsOfLoss.Keys.Where(p => p.Handle == chunk.Handle.Value).ToList())
                    ProofsOfLoss.Remove(proof);
            }
        }
    }

    private void Apply(ChunkAdded entry)
    {
        var file = Namespace.Find(new FileId(entry.FileId));
        Invariant.Holds(file is not null);
        Invariant.Holds(file.Tail is null or { IsSealed: true });
        Invariant.Holds(entry.Index == (ulong)file.ChunkCount);
        Invariant.Holds(entry.Handle < HandlesEnd);
        Invariant.Holds(_chunks[entry.Handle] is null);
        var members = Share(ServerSet.Of(entry.Members.Select(m => new ServerId(m))));
        var chunk = new Chunk(new ChunkHandle(entry.Handle), file, (uint)entry.Index, members, new ServerId(entry.Primary), entry.CreationId);
        _everAdded.Add(entry.Handle);
        file.Add(chunk);
        _chunks[entry.Handle] = chunk;
        Remember(chunk);
    }

    private void Apply(Configured entry)
    {
        var chunk = Open(entry.Handle);
        Forget(chunk);
        chunk.Configure(entry.Version, Share(ServerSet.Of(entry.Members.Select(m => new ServerId(m)))), new ServerId(entry.Primary), entry.ByOperator);
        Remember(chunk);
    }

    private void Apply(ChunkSealed entry)
    {
        var chunk = Open(entry.Handle);
        Forget(chunk);
        chunk.Seal(entry.Version, entry.Length, entry.SealBallot);
        chunk.File.BaseDigest = entry.BaseDigest;
    }

    private void Apply(WriterRegistered entry)
    {
        var file = File(entry.FileId);
        var id = new WriterId(entry.Writer);
        var before = file.FindWriter(entry.Name);
        bool resumed = before?.Id == id;
        Invariant.Holds(resumed ? entry.Epoch > before!.Value.Epoch && !before.Value.HasExpired : entry.Writer >= NextWriterId);
        NextWriterId = Math.Max(NextWriterId, entry.Writer + 1);
        GivenWriters.Add(entry.Writer);
        file.SetWriter(entry.Name, new Writer(id, entry.Epoch, entry.Ephemeral, HasExpired: false));
    }

    private void Apply(WriterExpired entry)
    {
        var file = File(entry.FileId);
        var writer = file.FindWriter(entry.Name);
        Invariant.Holds(writer is { HasExpired: false });
        file.SetWriter(entry.Name, writer.Value with { HasExpired = true });
    }

    private FileNode File(ulong id)
    {
        var file = Namespace.Find(new FileId(id));
        Invariant.Holds(file is not null);
        return file;
    }

    private Chunk Open(ulong handle)
    {
        var chunk = _chunks[handle];
        Invariant.Holds(chunk is not null);
        Invariant.Holds(!chunk.IsSealed);
        return chunk;
    }

    private void Remember(Chunk chunk)
    {
        if (!_openByPrimary.TryGetValue(chunk.Primary, out var handles))
            _openByPrimary.Add(chunk.Primary, handles = []);
        handles.Add(chunk.Handle.Value);
        if (!_openByMembers.TryGetValue(chunk.Members, out var shared))
            _openByMembers.Add(chunk.Members, shared = []);
        shared.Add(chunk.Handle.Value);
        if (chunk.Members.Count < chunk.File.Settings.Replicas)
            ShortOpenChunks.Add(chunk.Handle.Value, chunk);
    }

    private void Forget(Chunk chunk)
    {
        if (chunk.IsSealed)
            return;
        _openByPrimary[chunk.Primary].Remove(chunk.Handle.Value);
        var shared = _openByMembers[chunk.Members];
        shared.Remove(chunk.Handle.Value);
        if (shared.Count == 0)
            _openByMembers.Remove(chunk.Members);
        ShortOpenChunks.Remove(chunk.Handle.Value);
    }

    /// <summary>Everything, as text: equal states give equal texts.</summary>
    public string Dump()
    {
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Line($"cluster {ClusterId} epoch {Epoch} files<{NextFileId} writers<{NextWriterId} handles<{HandlesEnd}");
        foreach (var (id, server) in Servers)
            Line($"server {id} at {server.Address} incarnation {server.Incarnation:x16} generation {server.Generation}");
        foreach (var node in NamespaceTree.SelfAndBelow(Namespace.Root))
        {
            if (node is not FileNode file)
            {
                Line($"directory {node.Path} created {node.CreatedMs}");
                continue;
            }
            Line($"file {file.Path} id {file.Id} created {file.CreatedMs} replicas {file.Settings.Replicas} durability {file.Settings.Durability} capacity {file.Settings.ChunkCapacity} digest {file.BaseDigest:x8}");
            foreach (var chunk in file.Chunks)
                Line($"  chunk {chunk.Handle} index {chunk.Index} version {chunk.Version} reserved {chunk.Reserved} members {chunk.Members} primary {chunk.Primary} sealed {chunk.SealedLength}");
            foreach (var (name, writer) in file.WritersByName())
                Line($"  writer {name} id {writer.Id} epoch {writer.Epoch} ephemeral {writer.IsEphemeral} expired {writer.HasExpired}");
        }
        foreach (var chunk in Chunks())
            Line($"chunk {chunk.Handle} of file {chunk.File.Id}");
        foreach (var ((handle, server), committed) in ProofsOfLoss)
            Line($"proof {handle:x16} on {server}: {committed}");
        foreach (var handle in ShortOpenChunks.Keys)
            Line($"short {handle:x16}");
        return text.ToString();
    }
}

/// <summary>Where a chunk server was last seen, which start of it that was, and how old its data directory is.</summary>
/// <param name="Generation">Of the data directory: it only grows, unless an older copy is put back. 0: the server does not count.</param>
internal readonly record struct AdmittedServer(string Address, ulong Incarnation, ulong Generation)
{
    /// <summary>False: whoever says this has an older copy of the data directory, and has forgotten what it voted for since. A generation is logged only after it was durable there.</summary>
    public bool IsContinuedBy(ulong generation) => generation >= Generation;
}
