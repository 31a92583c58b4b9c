using System.Diagnostics.CodeAnalysis;
using Semel.ChunkServer.Appending;
using Semel.Protocol;
using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Storage.Chunks;
using Semel.Storage.Disks;

namespace Semel.ChunkServer.Replicas;

/// <summary>
/// A replica's frames and what follows from them: tail, chain, lineage, writer table. Whoever appends or cuts keeps all of it in step.
/// Owned by the replica's loop; only <see cref="Files"/> may be read beside it.
/// </summary>
internal sealed class ReplicaLog
{
    private const int ScanBlockBytes = 1 << 20;

    private Lineage _lineage = new();
    private readonly List<FrameHeader> _verified = [];  // of the block that is being appended

    private WriterTable? _table;    // null: a sealed log that is not asked for more than its bytes
    private byte[]? _nextBase;      // of a sealed log, once it was asked for

    private ReplicaLog(ChunkFiles files, WriterTable? table)
    {
        Files = files;
        _table = table;
        Chain = FrameHeader.ChainSeed(files.Metadata.Chunk.Handle);
    }

    public ChunkFiles Files { get; }

    public ChunkDescription Chunk => Files.Metadata.Chunk;

    /// <summary>The fold of the base and every frame below <see cref="Tail"/>.</summary>
    public WriterTable Table
    {
        get
        {
            if (_table is null)
                Refold(Tail);
            return _table!;
        }
    }

    /// <summary>False: the next one who asks for <see cref="Table"/> has all frames read again.</summary>
    public bool HasTable => _table is not null;

    /// <summary>What the file's next chunk starts from. Of a log that ends in a SEAL.</summary>
    public byte[] NextBase
    {
        get
        {
            Invariant.Holds(EndsInSeal);
            return _nextBase ??= Table.ToBase();
        }
    }

    /// <summary>End of the last frame.</summary>
    public uint Tail { get; private set; }

    /// <summary>Header CRC of the last frame: what the next one chains to.</summary>
    public uint Chain { get; private set; }

    /// <summary>The last frame is a SEAL.</summary>
    public bool EndsInSeal { get; private set; }

    /// <summary>
    /// Of a log that ends in a SEAL: the ballot that sequenced it. A ballot and an offset determine a frame, and each frame chains to all before it, so two logs of one length whose SEAL has one ballot
    /// are the same. 0: it does not end in one, or it was not read since the start.
    /// </summary>
    public ulong SealBallot => EndsInSeal && _table is not null ? _lineage.Stretches[^1].Ballot.Value : 0;

    /// <summary>Counts the cuts: what was started before one says nothing about the log after it.</summary>
    public int Generation { get; private set; }

    /// <summary>Bytes that were durable once are not there any more.</summary>
    public bool IsDamaged => OnceHeld > Tail;

    /// <summary>
    /// The operator decided that what verifies is all there is: the rest is cut off, and forgotten. Until the metadata is written next, a crash leaves a damaged log: its watermark still says more.
    /// </summary>
    public async ValueTask GiveUpDamageAsync()
    {
        var again = OfEmpty(Files);
        again.Fold(Files.Length, out _);
        Generation++;
        (_table, _nextBase, _lineage) = (again._table, null, again._lineage);
        (Tail, Chain, EndsInSeal, CommittedHint) = (again.Tail, again.Chain, again.EndsInSeal, again.CommittedHint);
        Durable = Math.Min(Durable, Tail);
        await Files.LowerDurableAsync(Tail);
        Files.Cut(Tail);
    }

    /// <summary>Everything below this was once known to be committed, by the metadata or by a frame found intact.</summary>
    public uint CommittedHint { get; private set; }

    /// <summary>
    /// Frames below it were flushed, committed or not. More than <see cref="Tail"/> after a start: no write that was torn looks like that, the disk has lost them.
    /// </summary>
    public uint Durable { get; private set; }

    /// <summary>So many bytes were durable here once.</summary>
    public uint OnceHeld => Math.Max(CommittedHint, Durable);

    public IReadOnlyList<(Ballot Ballot, uint Start)> Lineage
    {
        get
        {
            _ = Table;
            return _lineage.Stretches;
        }
    }

    /// <summary>A log without frames.</summary>
    /// <param name="files">Of the chunk.</param>
    /// <param name="atStart">The table that its base makes.</param>
    public static ReplicaLog OfEmpty(ChunkFiles files, WriterTable atStart) => new(files, atStart);

    private static ReplicaLog OfEmpty(ChunkFiles files)
    {
        bool read = WriterTable.TryRead(files.BaseBytes, out var table, out _);
        Invariant.Holds(read);
        return new ReplicaLog(files, table!);
    }

    /// <summary>
    /// Reads everything again after a start. What does not verify is cut off: a torn tail that nobody voted for, unless
    /// <see cref="OnceHeld"/> is beyond the new tail; then the disk has lost what it once held durably, the replica is damaged, and all of its bytes stay in the file.
    /// </summary>
    /// <remarks>
    /// Nothing that was found is durable before it has been flushed: after a crash of the process alone it may be in the page cache only.
    /// </remarks>
    /// <exception cref="IOException">The frames cannot be read at the moment; <see cref="DiskTroubles"/> tells.</exception>
    public static bool TryScan(ChunkFiles files, [NotNullWhen(true)] out ReplicaLog? log, out string? cutReason, [NotNullWhen(false)] out string? fault)
    {
        log = null;
        cutReason = null;
        if (!WriterTable.TryRead(files.BaseBytes, out var table, out fault))
            return false;
        if (files.Metadata.Sealed && files.Metadata.Committed == files.Length && IsOfItsChunk(files))
        {
            // Its bytes are verified whenever they are read; a start must not wait for that.
            log = new ReplicaLog(files, null) { Tail = files.Length, EndsInSeal = true, CommittedHint = files.Length, Durable = files.Length };
            return true;
        }
        log = new ReplicaLog(files, table) { CommittedHint = files.Metadata.Committed, Durable = files.Metadata.Durable };
        try
        {
            log.Fold(files.Length, out cutReason);
            // No torn write leaves the whole first frame of another chunk: the file was exchanged, and nobody can say what was in its place.
            if (log.Tail == 0 && !IsOfItsChunk(files) && FrameHeader.TryRead(FirstHeader(files), out _, out _))
            {
                cutReason = "the file is that of another chunk";
                log.Durable = Math.Max(log.Durable, FrameHeader.Size);
            }
            else if (log.Tail < files.Length)
                log.CommittedHint = Math.Max(log.CommittedHint, HintBeyond(files, log.Tail));
        }
        catch (IOException e) when (DiskTroubles.Of(e) is DiskTrouble.Device)
        {
            // A sector that cannot be read was written once, and is no torn write.
            cutReason = $"from offset {log.Tail} on the disk cannot read it: {e.Message}";
            log.Durable = Math.Max(log.Durable, files.Length);
        }
        if (log.Tail < files.Length)
        {
            if (log.IsDamaged)
                files.SetAside(log.Tail);
            else
                files.Cut(log.Tail);
        }
        return true;
    }

    /// <summary>The first frame tells which chunk the file belongs to. A reader that begins in the middle could not tell.</summary>
    private static bool IsOfItsChunk(ChunkFiles files) =>
        FrameHeader.TryRead(FirstHeader(files), out var header, out _) && header.Chain == FrameHeader.ChainSeed(files.Metadata.Chunk.Handle);

    private static ReadOnlySpan<byte> FirstHeader(ChunkFiles files)
    {
        var first = new byte[FrameHeader.Size];
        return first.AsSpan(0, files.Read(0, first));
    }

    /// <summary>The next block of frames from the primary or a source: all of it verifies and is written, or nothing.</summary>
    /// <returns>Why it was refused; null: appended.</returns>
    public string? TryAppend(ReadOnlySpan<byte> frames, Ballot highest)
    {
        _verified.Clear();
        var check = new FrameReader(frames, Tail, Chain);
        bool sealedAlready = EndsInSeal;
        while (check.Read())
        {
            _verified.Add(check.Header);
            if (sealedAlready)
                return $"at offset {check.Header.Offset}: a frame follows the SEAL";
            if (check.Header.Ballot > highest)
                return $"at offset {check.Header.Offset}: the frame's ballot {check.Header.Ballot} is above {highest}";
            if (check.Header.Kind == FrameKind.Seal && SealFault(check.Payload) is { } fault)
                return $"at offset {check.Header.Offset}: {fault}";
            sealedAlready = check.Header.Kind == FrameKind.Seal;
        }
        if (check.Fault is not null)
            return check.Fault;
        if (check.Offset > Chunk.Capacity)
            return $"the frames end at {check.Offset}, the chunk's capacity is {Chunk.Capacity}";
        uint before = Tail;
        Files.Append(frames);
        foreach (var header in _verified)
        {
            if (TryAdvance(header) is not { } odd)
                continue;
            Generation++;
            Refold(before);
            Files.SetAside(before);
            return $"at offset {header.Offset}: {odd}";
        }
        return null;
    }

    /// <summary>A frame that the primary just made; its bytes go to the disk with its group (<see cref="ChunkFiles.Append"/>).</summary>
    public void Sequence(in FrameHeader header)
    {
        Invariant.Holds(header.Offset == Tail);
        string? fault = TryAdvance(header);
        Invariant.Holds(fault is null);
    }

    /// <summary>Frames below the offset are durable.</summary>
    public void WereFlushed(uint upTo) => Durable = Math.Max(Durable, Math.Min(upTo, Tail));

    /// <summary>The log is what a primary has shown, and durable: what was once here beyond its end counts no more.</summary>
    public void WasAdopted() => Durable = Tail;

    /// <summary>
    /// Forgets every frame from <paramref name="length"/> (a frame boundary) on, and rebuilds what follows from the rest. The metadata must not count on them any more
    /// (<see cref="ChunkFiles.LowerDurableAsync"/>).
    /// </summary>
    public void Cut(uint length)
    {
        Invariant.Holds(length <= Tail);
        Generation++;
        if (length == Tail && Files.Length == Tail)
            return;
        Refold(length);
        Files.Cut(length);
        Durable = Math.Min(Durable, length);
    }

    /// <summary>Reads the frames below <paramref name="length"/> again. Should they have rotted, nothing has changed here.</summary>
    private void Refold(uint length)
    {
        var again = OfEmpty(Files);
        string? fault;
        try
        {
            again.Fold(length, out fault);
        }
        catch (IOException e) when (DiskTroubles.Of(e) is not DiskTrouble.Passing)
        {
            fault = e.Message;
        }
        if (again.Tail != length)
            throw new DamageException($"frames that verified before do not any more: {fault}");
        (_table, _nextBase, _lineage) = (again._table, null, again._lineage);
        (Tail, Chain, EndsInSeal) = (again.Tail, again.Chain, again.EndsInSeal);
        CommittedHint = Math.Max(CommittedHint, again.CommittedHint);
    }

    /// <summary>Of a sealed log: the table is read again should anybody ask for it.</summary>
    public void ForgetTable()
    {
        Invariant.Holds(EndsInSeal);
        (_table, _nextBase) = (null, null);
    }

    public uint CommonPrefix(IReadOnlyList<(Ballot Ballot, uint Start)> other, uint otherTail)
    {
        _ = Table;
        return _lineage.CommonPrefix(Tail, other, otherTail);
    }

    /// <summary>As <see cref="Read"/>, into a buffer that is the caller's to release.</summary>
    public SharedBuffer ReadBuffer(uint offset, int length)
    {
        var buffer = SharedBuffer.Rent(length);
        try
        {
            Read(offset, buffer.Span[..length]);
            return buffer;
        }
        catch
        {
            buffer.Release();
            throw;
        }
    }

    /// <summary>Copies bytes of the log; all of them are there.</summary>
    /// <exception cref="DamageException">They are not: the file is shorter than what was written, or the disk cannot read it.</exception>
    /// <exception cref="IOException">They cannot be read at the moment.</exception>
    public void Read(uint offset, Span<byte> target)
    {
        int read;
        try
        {
            read = Files.Read(offset, target);
        }
        catch (IOException e) when (DiskTroubles.Of(e) is not DiskTrouble.Passing)
        {
            throw new DamageException($"{target.Length} bytes at offset {offset} cannot be read: {e.Message}", e);
        }
        if (read != target.Length)
            throw new DamageException($"{target.Length} bytes at offset {offset} were written, {read} can be read") { IsShortage = true };
    }

    /// <returns>Why the frame cannot follow, and nothing has changed; null: it does.</returns>
    private string? TryAdvance(in FrameHeader header)
    {
        if (EndsInSeal)
            return "a frame follows the SEAL";
        if (!_lineage.TryExtend(header.Ballot, header.Offset))
            return $"the frame's ballot {header.Ballot} is below that of the frame before it";
        if (Table.TryApply(header, Chunk.Index) is { } fault)
        {
            _lineage.Cut(Tail);
            return fault;
        }
        Tail = header.End;
        Chain = header.HeaderCrc;
        EndsInSeal = header.Kind == FrameKind.Seal;
        CommittedHint = Math.Max(CommittedHint, header.Committed);
        return null;
    }

    /// <summary>Folds the file's good frames from <see cref="Tail"/> up to <paramref name="end"/>.</summary>
    private void Fold(uint end, out string? fault)
    {
        fault = null;
        var block = new byte[Math.Min(ScanBlockBytes, end)];
        while (Tail < end)
        {
            int read = Files.Read(Tail, block.AsSpan(0, (int)Math.Min((uint)block.Length, end - Tail)));
            uint before = Tail;
            var reader = new FrameReader(block.AsSpan(0, read), Tail, Chain);
            while (reader.Read())
            {
                if (TryAdvance(reader.Header) is not { } odd)
                    continue;
                fault = $"at offset {reader.Header.Offset}: {odd}";
                return;
            }
            if (Tail > before)
                continue;
            // Nothing whole in the block: either a frame larger than it, or the end.
            fault = reader.Fault ?? $"the file ends at offset {Tail}";
            uint needed = LengthOfFrameAt(block.AsSpan(0, read));
            if (needed <= (uint)block.Length || needed > end - Tail)
                return;
            block = new byte[needed];
        }
    }

    private static uint LengthOfFrameAt(ReadOnlySpan<byte> bytes) =>
        FrameHeader.TryRead(bytes, out var header, out _) && header.PayloadLength <= ChunkLimits.MaxCapacity ? header.FrameLength : 0;

    /// <summary>
    /// Looks behind the place where the scan stopped for a frame that is intact by itself and says how far the log was committed when it was sequenced. Without
    /// this, bytes that rotted in the middle would pass for a torn tail.
    /// </summary>
    private static uint HintBeyond(ChunkFiles files, uint from)
    {
        uint hint = 0;
        var block = new byte[ScanBlockBytes];
        for (uint at = from; at + FrameHeader.Size <= files.Length; at += ScanBlockBytes - FrameHeader.Size)
        {
            int read = files.Read(at, block);
            for (int i = 0; i + FrameHeader.Size <= read; i += FrameHeader.Alignment)
            {
                if (FrameHeader.TryRead(block.AsSpan(i, FrameHeader.Size), out var header, out _) && header.Offset == at + i)
                    hint = Math.Max(hint, header.Committed);
            }
        }
        return hint;
    }

    private string? SealFault(ReadOnlySpan<byte> payload) =>
        SealSummary.TryRead(payload, out _, out string? fault) ? null : fault;
}
