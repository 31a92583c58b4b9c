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

    /// <summary>
    /// Opens every replica on the disk. Whatever is wrong with one concerns no other: what is none is moved aside (<see cref="Quarantine"/>), and what cannot be read at the moment stays
    /// where it is. Both are named in the log.
    /// </summary>
    public async Task OpenAllAsync()
    {
        ChunkFiles.DeleteCopies(disk);
        foreach (var handle in ChunkFiles.List(disk).ToList())
        {
            try
            {
                await OpenAsync(handle);
            }
            catch (Exception e)
            {
                services.Logger.ReplicaNotOpened(e, handle);
            }
        }
        if (Quarantine.Count(disk) is > 0 and var kept)
            services.Logger.QuarantineHolds(kept, Quarantine.Directory);
    }

    private async Task OpenAsync(ChunkHandle handle)
    {
        if (!ChunkFiles.TryOpen(disk, handle, out var files, out var fault))
        {
            if (fault.Kind is not ChunkFaultKind.Unreadable)
                services.Logger.ReplicaUnreadable(handle, fault.Message);
            else if (!ChunkFiles.TryDeleteUnfinished(disk, handle))
                await SetAsideAsync(handle, fault.Message);
            return;
        }
        bool isOpen = false;
        try
        {
            if (files.MetadataFault is { } slot)
                services.Logger.MetadataSlotUnreadable(handle, slot, files.Metadata.Promised);
            if (!ReplicaLog.TryScan(files, out var log, out string? cutReason, out string? problem))
            {
                services.Logger.ReplicaUnreadable(handle, problem);
                return;
            }
            isOpen = true;
            if (log.IsDamaged)
                services.Logger.ReplicaDamaged(handle, log.OnceHeld, log.Tail);
            else if (cutReason is not null)
                services.Logger.TornTailCut(handle, log.Tail, cutReason);
            registry.Add(new Replica(log, services, found: true));
        }
        finally
        {
            if (!isOpen)
                files.Dispose();
        }
    }

    private async Task SetAsideAsync(ChunkHandle handle, string reason)
    {
        var moved = await Quarantine.TakeAsync(disk, handle);
        services.Logger.ReplicaSetAside(handle, reason, string.Join(", ", moved));
    }

    /// <summary>What lies where a replica is to be made, and could not be opened or is no file, goes aside.</summary>
    private async Task ClearPlaceAsync(ChunkHandle handle)
    {
        if (Quarantine.IsNeededFor(disk, handle))
            await SetAsideAsync(handle, "it lay where a replica is to be made");
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
            await ClearPlaceAsync(handle);
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
            if (!registry.TryGet(handle, out var replica))
            {
                registry.Changed(handle);
                return new CommandResult { Status = Status.Ok };
            }
            var gone = await AskToGoAsync(replica, delete.OnlyIfPromisedBelow, delete.OnlyIfCommittedBelow, keepFiles: false);
            if (gone.Status is Status.Ok or Status.DiskFailed)
                registry.Remove(handle);
            if (gone.Status == Status.Ok)
                services.Logger.ReplicaDeleted(handle);
            return gone;
        }
        finally
        {
            Leave(handle);
        }
    }

    /// <summary>
    /// Copies a sealed chunk: its base and its frames, each verified against the chain. 1: the copy is made beside what may be there already, which serves meanwhile. 2: when all of it
    /// is durable, the replica that is there ends, unless it promised a newer version or knows more to be committed. 3: the copy takes its place. A crash at any time leaves the old
    /// replica or the new one, or one that counts as damaged.
    /// </summary>
    public async Task<CommandResult> CloneAsync(CloneChunk clone)
    {
        var handle = new ChunkHandle(clone.Handle);
        if (!Enter(handle))
            return new CommandResult { Status = Status.Unavailable, Detail = $"Chunk {handle} is busy." };
        try
        {
            bool isThere = registry.TryGet(handle, out var existing);
            if (isThere && existing!.Report is { Sealed: true, Damaged: false } report && report.Tail == clone.Length)
                return new CommandResult { Status = Status.Ok };
            if (isThere && existing!.Report.OnceCommitted >= GoesBelow(existing, clone))
            {
                services.Logger.LongerReplicaKept(handle, existing.Report.OnceCommitted, GoesBelow(existing, clone));
                return new CommandResult
                {
                    Status = Status.Conflict,
                    Detail = $"The replica of chunk {handle} here knows {existing.Report.OnceCommitted} bytes to be committed, the copy would have {clone.Length}.",
                };
            }
            // Step 1
            var (copy, source, fault) = await CopyAsync(clone, handle);
            if (copy is null)
                return new CommandResult { Status = Status.Unavailable, Detail = fault ?? "no source was named" };
            return await ReplaceAsync(clone, existing, copy, source!);
        }
        finally
        {
            Leave(handle);
        }
    }

    /// <summary>
    /// A replica that knows so many bytes to be committed has something that the copy lacks. The copy's last frame is its SEAL, which is
    /// no record: only a replica that ends in a SEAL there too, or that rotted and may have, goes for it.
    /// </summary>
    private static uint GoesBelow(Replica existing, CloneChunk clone)
    {
        var report = existing.Report;
        bool mayBeTheSame = report.Damaged || (report.EndsInSeal && report.Tail == clone.Length);
        uint seal = FrameHeader.LengthOfFrame(FrameHeader.SealPayloadLength);
        return (mayBeTheSame ? clone.Length : clone.Length - Math.Min(clone.Length, seal)) + 1;
    }

    private async Task<CommandResult> ReplaceAsync(CloneChunk clone, Replica? existing, ChunkFiles copy, string source)
    {
        var handle = new ChunkHandle(clone.Handle);
        bool isInstalled = false;
        try
        {
            // Step 2
            if (existing is null)
                await ClearPlaceAsync(handle);
            else if (await AskToGoAsync(existing, clone.Version + 1, GoesBelow(existing, clone), keepFiles: true) is { Status: not Status.Ok } refusal)
                return refusal;

            // Step 3
            isInstalled = true;
            await copy.InstallAsync();
            if (!ChunkFiles.TryOpen(disk, handle, out var files, out var fault))
                throw new IOException(fault.Message);
            if (!ReplicaLog.TryScan(files, out var log, out _, out string? problem))
                throw new IOException(problem);
            registry.Add(new Replica(log, services, found: false));
            services.Logger.ReplicaCloned(handle, source, log.Tail);
            return new CommandResult { Status = Status.Ok };
        }
        catch (IOException e)
        {
            // Whatever is there now counts as it would after a start.
            registry.Remove(handle);
            if (isInstalled)
                await OpenAsync(handle);
            return new CommandResult { Status = Status.DiskFailed, Detail = e.Message };
        }
        finally
        {
            if (!isInstalled)
                await copy.DeleteAsync();
        }
    }

    /// <summary>The copy is whole and durable, and not in its place yet; or null, and why the last source gave none.</summary>
    private async Task<(ChunkFiles? Copy, string? Source, string? Fault)> CopyAsync(CloneChunk clone, ChunkHandle handle)
    {
        string? fault = null;
        foreach (var source in clone.Sources)
        {
            (var copy, fault) = await CopyAsync(clone, handle, source);
            if (copy is not null)
                return (copy, source.Address, null);
        }
        return (null, null, fault);
    }

    private async Task<(ChunkFiles? Copy, string? Fault)> CopyAsync(CloneChunk clone, ChunkHandle handle, ServerAddress source)
    {
        var link = services.Wire.LinkTo(source.Address);
        byte[]? baseBytes = await FetchAsync(link, new FetchBaseRequest { Handle = handle.Value, Own = true });
        if (baseBytes is null)
            return (null, $"{source.Address} did not give the base of chunk {handle}");
        if (!WriterTable.TryRead(baseBytes, out var table, out string? fault))
            return (null, $"the base from {source.Address} is not readable: {fault}");
        var chunk = new ChunkDescription(handle, new FileId(clone.FileId), clone.Index, clone.Capacity, clone.Durability, clone.CreationId);
        var files = await ChunkFiles.CreateCopyAsync(disk, chunk, baseBytes);
        bool isComplete = false;
        try
        {
            var log = ReplicaLog.OfEmpty(files, table);
            while (log.Tail < clone.Length)
            {
                if (await FetchFramesAsync(link, log) is { } problem)
                    return (null, $"{source.Address}: {problem}");
            }
            if (log.Tail != clone.Length || !log.EndsInSeal)
                return (null, $"{source.Address} gave {log.Tail} bytes; the sealed chunk has {clone.Length}");
            await files.FlushAsync();
            var ballot = Ballot.OfVersion(clone.Version);
            await files.WriteMetadataAsync(ballot, ballot, log.Tail, isSealed: true, durable: log.Tail, both: true);
            isComplete = true;
            return (files, null);
        }
        finally
        {
            if (!isComplete)
                await files.DeleteAsync();
        }
    }

    /// <summary>Appends the next frames of a source; not null: it has none that fit.</summary>
    private static async Task<string?> FetchFramesAsync(ILink link, ReplicaLog log)
    {
        var request = new ReadFramesRequest { Handle = log.Chunk.Handle.Value, Offset = log.Tail, MaxBytes = CopyBytes };
        var result = await link.CallAsync(MessageKind.ReadFrames, request, Payload.Empty, PeerTimeout);
        try
        {
            if (!result.IsAnswered)
                return result.Detail ?? $"{result.Outcome}";
            var reply = result.Answer<ReadFramesReply>();
            if (reply.Status != ReadStatus.ReadOk || result.Payload.Length == 0)
                return $"at offset {log.Tail}: {reply.Status} {reply.Detail}";
            return log.TryAppend(result.Payload.Span, new Ballot(ulong.MaxValue));
        }
        finally
        {
            result.Payload.Release();
        }
    }

    /// <summary>OK: the replica takes nothing more, and its files are closed or deleted.</summary>
    private static async Task<CommandResult> AskToGoAsync(Replica replica, ulong onlyIfPromisedBelow, uint onlyIfCommittedBelow, bool keepFiles)
    {
        var ended = new TaskCompletionSource<CommandResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        return replica.Post(new DeleteWanted(onlyIfPromisedBelow, onlyIfCommittedBelow, keepFiles, ended)) ? await ended.Task
            : new CommandResult { Status = Status.Unavailable, Detail = $"The replica of chunk {replica.Handle} is going away." };
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
