using Microsoft.Extensions.Logging;
using Semel.ChunkServer.Appending;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Storage.Chunks;
using Semel.Storage.Disks;

namespace Semel.ChunkServer.Replicas;

/// <summary>Makes, copies, finds and deletes replicas. At most one of these at a time for a chunk.</summary>
internal sealed class ReplicaMaker(ReplicaRegistry registry, ReplicaServices services, IDisk disk)
{
    private const uint CopyBytes = 1 << 20;
    private static readonly TimeSpan PeerTimeout = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly HashSet<ChunkHandle> _busy = []; // guarded by _gate

    /// <summary>Opens every replica on the disk. One that cannot be read is left where it is, and named in the log.</summary>
    public void OpenAll()
    {
        foreach (var handle in ChunkFiles.List(disk))
        {
            if (!ChunkFiles.TryOpen(disk, handle, out var files, out string? fault))
            {
                if (!ChunkFiles.TryDeleteUnfinished(disk, handle))
                    services.Logger.ReplicaUnreadable(handle, fault);
                continue;
            }
            if (!ReplicaLog.TryScan(files, out var log, out string? cutReason, out fault))
            {
                files.Dispose();
                services.Logger.ReplicaUnreadable(handle, fault);
                continue;
            }
            if (log.IsDamaged)
                services.Logger.ReplicaDamaged(handle, log.CommittedHint, log.Tail);
            else if (cutReason is not null)
                services.Logger.TornTailCut(handle, log.Tail, cutReason);
            registry.Add(new Replica(log, services, found: true));
        }
    }

    /// <summary>
    /// An empty replica with its base, durable when the reply says OK. Repeating it with the same creation id is harmless. Whatever else is there under the handle stays as it is: handles are
    /// never given twice, so it is a sign that the master has forgotten something.
    /// </summary>
    public async Task<CreateChunkReply> CreateAsync(CreateChunkRequest request)
    {
        var handle = new ChunkHandle(request.Handle);
        if (request.Capacity is < ChunkLimits.SmallestCapacity or > ChunkLimits.MaxCapacity
            || request.Durability is not (Durability.Group or Durability.Memory) || handle.Value == 0)
            return new CreateChunkReply
            {
                Status = Status.Invalid,
                Detail = $"Chunk {handle} with a capacity of {request.Capacity} and durability {request.Durability} cannot be made.",
            };
        if (!Enter(handle))
            return new CreateChunkReply { Status = Status.Unavailable, Detail = $"Chunk {handle} is being made or deleted here at the moment." };
        try
        {
            if (registry.TryGet(handle, out var existing))
            {
                await existing.Opened;
                if (DifferenceTo(request, existing) is not { } difference)
                    return new CreateChunkReply { Status = Status.Ok };
                return Taken(handle, difference);
            }
            if (ChunkFiles.Exists(disk, handle))
                return Taken(handle, "a replica that cannot be opened");
            byte[]? baseBytes = await BaseAsync(request.Base);
            if (baseBytes is null)
                return new CreateChunkReply { Status = Status.Unavailable, Detail = $"No source gave the base with digest {request.Base.Digest:x8} for chunk {handle}." };
            if (!WriterTable.TryRead(baseBytes, out var table, out string? fault))
                return new CreateChunkReply { Status = Status.Invalid, Detail = fault };
            var chunk = new ChunkDescription(handle, new FileId(request.FileId), request.Index, request.Capacity, request.Durability, request.CreationId);
            var files = await ChunkFiles.CreateAsync(disk, chunk, baseBytes);
            registry.Add(new Replica(ReplicaLog.OfEmpty(files, table), services, found: false));
            return new CreateChunkReply { Status = Status.Ok };
        }
        catch (IOException e)
        {
            return new CreateChunkReply { Status = Status.DiskFailed, Detail = e.Message };
        }
        finally
        {
            Leave(handle);
        }
    }

    /// <summary>Null: it is the replica that was asked for, and nothing has happened to it yet.</summary>
    private static string? DifferenceTo(CreateChunkRequest request, Replica existing)
    {
        var (wanted, chunk, report) = (request.Base?.Digest ?? 0, existing.Log.Chunk, existing.Report);
        return chunk.CreationId != request.CreationId ? $"a replica of another making, of file {chunk.File} at index {chunk.Index}"
            : chunk.File.Value != request.FileId || chunk.Index != request.Index ? $"a replica of file {chunk.File} at index {chunk.Index}"
            : chunk.Capacity != request.Capacity || chunk.Durability != request.Durability ? $"a replica with a capacity of {chunk.Capacity} and durability {chunk.Durability}"
            : existing.Log.Files.Metadata.BaseDigest != wanted ? $"a replica that starts from the base {existing.Log.Files.Metadata.BaseDigest:x8}"
            : report.Tail > 0 || report.Promised > 0 || report.LastView > 0 ? $"a replica that has taken part in something already, with {report.Tail} bytes"
            : null;
    }

    private CreateChunkReply Taken(ChunkHandle handle, string what)
    {
        services.Logger.HandleIsTaken(handle, what);
        return new CreateChunkReply { Status = Status.Conflict, Detail = $"There is something else under the handle {handle}: {what}. It was left as it is." };
    }

    public async Task<CommandResult> DeleteAsync(DeleteChunk delete)
    {
        var handle = new ChunkHandle(delete.Handle);
        if (!Enter(handle))
            return new CommandResult { Status = Status.Unavailable, Detail = $"Chunk {handle} is busy." };
        try
        {
            return await DeleteEnteredAsync(handle, delete.OnlyIfPromisedBelow);
        }
        finally
        {
            Leave(handle);
        }
    }

    /// <summary>
    /// Copies a sealed chunk: its base and its frames, each verified against the chain. It counts as a replica only when all of it is
    /// durable; a crash before that leaves something that has seen no view, which the master deletes.
    /// </summary>
    public async Task<CommandResult> CloneAsync(CloneChunk clone)
    {
        var handle = new ChunkHandle(clone.Handle);
        if (!Enter(handle))
            return new CommandResult { Status = Status.Unavailable, Detail = $"Chunk {handle} is busy." };
        try
        {
            if (registry.TryGet(handle, out var existing))
            {
                await existing.Opened;
                if (existing.Report is { Sealed: true, Damaged: false } report && report.Tail == clone.Length)
                    return new CommandResult { Status = Status.Ok };
                var deleted = await DeleteEnteredAsync(handle, clone.Version + 1);
                if (deleted.Status != Status.Ok)
                    return deleted;
            }
            string? fault = null;
            foreach (var source in clone.Sources)
            {
                fault = await CopyAsync(clone, handle, source);
                if (fault is null)
                    return new CommandResult { Status = Status.Ok };
            }
            return new CommandResult { Status = Status.Unavailable, Detail = fault ?? "no source was named" };
        }
        finally
        {
            Leave(handle);
        }
    }

    private async Task<string?> CopyAsync(CloneChunk clone, ChunkHandle handle, ServerAddress source)
    {
        var link = services.Wire.LinkTo(source.Address);
        byte[]? baseBytes = await FetchAsync(link, new FetchBaseRequest { Handle = handle.Value, Own = true });
        if (baseBytes is null)
            return $"{source.Address} did not give the base of chunk {handle}";
        if (!WriterTable.TryRead(baseBytes, out var table, out string? fault))
            return $"the base from {source.Address} is not readable: {fault}";
        var chunk = new ChunkDescription(handle, new FileId(clone.FileId), clone.Index, clone.Capacity, clone.Durability, clone.CreationId);
        var files = await ChunkFiles.CreateAsync(disk, chunk, baseBytes);
        bool complete = false;
        try
        {
            var log = ReplicaLog.OfEmpty(files, table);
            var ballot = Ballot.OfVersion(clone.Version);
            while (log.Tail < clone.Length)
            {
                var result = await link.CallAsync(MessageKind.ReadFrames,
                    new ReadFramesRequest { Handle = handle.Value, Offset = log.Tail, MaxBytes = CopyBytes }, Payload.Empty, PeerTimeout);
                try
                {
                    if (!result.IsAnswered)
                        return $"{source.Address}: {result.Detail}";
                    var reply = result.Answer<ReadFramesReply>();
                    if (reply.Status != ReadStatus.ReadOk || result.Payload.Length == 0)
                        return $"{source.Address} at offset {log.Tail}: {reply.Status} {reply.Detail}";
                    if (log.TryAppend(result.Payload.Span, new Ballot(ulong.MaxValue)) is { } bad)
                        return $"{source.Address}: {bad}";
                }
                finally
                {
                    result.Payload.Release();
                }
            }
            if (log.Tail != clone.Length || !log.EndsInSeal)
                return $"{source.Address} gave {log.Tail} bytes; the sealed chunk has {clone.Length}";
            await files.FlushAsync();
            await files.WriteMetadataAsync(ballot, ballot, log.Tail, isSealed: true);
            complete = true;
            log.ForgetTable();
            registry.Add(new Replica(log, services, found: false));
            services.Logger.ReplicaCloned(handle, source.Address, log.Tail);
            return null;
        }
        finally
        {
            if (!complete)
                await files.DeleteAsync();
        }
    }

    private async Task<CommandResult> DeleteEnteredAsync(ChunkHandle handle, ulong onlyIfPromisedBelow)
    {
        if (!registry.TryGet(handle, out var replica))
        {
            registry.Changed(handle);
            return new CommandResult { Status = Status.Ok };
        }
        var deleted = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!replica.Post(new DeleteWanted(onlyIfPromisedBelow, deleted)))
            return new CommandResult { Status = Status.Unavailable, Detail = $"The replica of chunk {handle} is going away." };
        if (!await deleted.Task)
            return new CommandResult { Status = Status.Stale, Detail = $"Chunk {handle} has promised version {onlyIfPromisedBelow} or a higher one." };
        registry.Remove(handle);
        services.Logger.ReplicaDeleted(handle);
        return new CommandResult { Status = Status.Ok };
    }

    /// <summary>The table that the chunk starts from: from our own replica of the sealed one before, or from a server that has it.</summary>
    private async Task<byte[]?> BaseAsync(ChunkBase? wanted)
    {
        if (wanted is null || wanted.PreviousHandle == 0)
            return [];
        var request = new FetchBaseRequest { Handle = wanted.PreviousHandle, Length = wanted.PreviousLength, Digest = wanted.Digest };
        ulong self = services.Self().Value;
        if (registry.TryGet(new ChunkHandle(wanted.PreviousHandle), out var previous))
        {
            var local = new LocalCall(request);
            previous.Take(local);
            var bytes = await local.Answered;
            if (bytes is not null)
                return bytes;
        }
        foreach (var source in wanted.Sources)
        {
            if (source.ServerId != self && await FetchAsync(services.Wire.LinkTo(source.Address), request) is { } bytes)
                return bytes;
        }
        return null;
    }

    private static async Task<byte[]?> FetchAsync(ILink link, FetchBaseRequest request)
    {
        var result = await link.CallAsync(MessageKind.FetchBase, request, Payload.Empty, PeerTimeout);
        try
        {
            if (!result.IsAnswered || result.Answer<FetchBaseReply>().Status != Status.Ok)
                return null;
            byte[] bytes = result.Payload.Span.ToArray();
            return request.Own || WriterTable.DigestOf(bytes) == request.Digest ? bytes : null;
        }
        finally
        {
            result.Payload.Release();
        }
    }

    private bool Enter(ChunkHandle handle)
    {
        lock (_gate)
            return _busy.Add(handle);
    }

    private void Leave(ChunkHandle handle)
    {
        lock (_gate)
            _busy.Remove(handle);
    }

    /// <summary>Asks a replica of this server for a base, through its loop like everyone else.</summary>
    private sealed class LocalCall(FetchBaseRequest request)
        : IncomingCall(MessageKind.FetchBase, request, default, PeerTimeout, "this server")
    {
        private readonly TaskCompletionSource<byte[]?> _answered = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<byte[]?> Answered => _answered.Task;

        protected override void Send(Google.Protobuf.IMessage header, Payload payload)
        {
            _answered.TrySetResult(((FetchBaseReply)header).Status == Status.Ok ? payload.Span.ToArray() : null);
            payload.Release();
        }
    }
}
