using System.Diagnostics.CodeAnalysis;
using Semel.Protocol;
using Semel.Protocol.Checksums;
using Semel.Protocol.Identity;
using Semel.Storage.Disks;

namespace Semel.Storage.Chunks;

/// <summary>
/// The files of one replica: <c>chunks/aa/HANDLE.chunk</c> (frames), <c>.meta</c> (<see cref="ChunkMetadata"/>) and <c>.base</c> (the writer
/// table that the chunk starts from; written once). A replica exists when its <c>.meta</c> does.
/// </summary>
/// <remarks>One owner at a time; only <see cref="Read"/> may run beside its calls.</remarks>
public sealed class ChunkFiles : IDisposable
{
    /// <summary>Space is reserved ahead of the tail in steps that grow with the chunk, from this on.</summary>
    private const uint FirstReservation = 256 << 10;

    private const uint LargestReservation = 8 << 20;

    /// <summary>More than the table of any file's writers takes.</summary>
    private const int MostBaseBytes = 512 << 20;

    private readonly IDisk _disk;
    private readonly IDiskFile _frames;
    private readonly MetadataSlots _slots;
    private readonly bool _isCopy;
    private uint _reserved;
    private bool _hasRemains;       // bytes behind Length

    private ChunkFiles(IDisk disk, IDiskFile frames, MetadataSlots slots, byte[] baseBytes, bool isCopy)
    {
        _disk = disk;
        _frames = frames;
        _slots = slots;
        _isCopy = isCopy;
        BaseBytes = baseBytes;
        long length = frames.Length;
        Length = (uint)Math.Min(length, Metadata.Chunk.Capacity);
        _hasRemains = length > Length;
        _reserved = Length;
    }

    /// <summary>As last written; durable when the write returned.</summary>
    public ChunkMetadata Metadata => _slots.Current;

    /// <summary>Which of the two copies of the metadata could not be read, and why; null: both could. It may have been the newer one.</summary>
    public string? MetadataFault => _slots.Fault;

    /// <summary>Both copies of the metadata say the same, so that either of them may rot.</summary>
    public bool IsMetadataDoubled => _slots.Agree;

    /// <summary>The chunk's base as it was stored; its CRC32C is <see cref="ChunkMetadata.BaseDigest"/>.</summary>
    public byte[] BaseBytes { get; }

    /// <summary>The machine's current boot; compare with the metadata's to learn whether unflushed bytes may be gone.</summary>
    public string BootId => _disk.BootId;

    /// <summary>Length of the log's bytes. What the file has behind it counts for nothing, and goes when something is appended.</summary>
    public uint Length { get; private set; }

    /// <summary>The file is shorter than what was written or found there: somebody or the disk took bytes away.</summary>
    public bool IsCutShort => _frames.Length < Length;

    /// <summary>Handles of all replicas on the disk, in order; also of those that cannot be opened.</summary>
    public static IEnumerable<ChunkHandle> List(IDisk disk) => ChunkNames.List(disk);

    /// <summary>There is a replica of the chunk, whether it can be opened or not.</summary>
    public static bool Exists(IDisk disk, ChunkHandle handle) => disk.FileExists(ChunkNames.Of(handle, "meta"));

    /// <summary>Makes an empty replica; all of it is durable on return. What an earlier attempt left behind is replaced.</summary>
    /// <exception cref="OddFileException">Something lies in its place that is no file.</exception>
    public static ValueTask<ChunkFiles> CreateAsync(IDisk disk, ChunkDescription chunk, byte[] baseBytes) => CreateAsync(disk, chunk, baseBytes, isCopy: false);

    /// <summary>
    /// As the other, beside the replica that may be there: it is none before <see cref="InstallAsync"/>, and a start deletes it (<see cref="DeleteCopies"/>).
    /// </summary>
    public static ValueTask<ChunkFiles> CreateCopyAsync(IDisk disk, ChunkDescription chunk, byte[] baseBytes) => CreateAsync(disk, chunk, baseBytes, isCopy: true);

    private static async ValueTask<ChunkFiles> CreateAsync(IDisk disk, ChunkDescription chunk, byte[] baseBytes, bool isCopy)
    {
        string suffix = isCopy ? ChunkNames.Copy : "";
        string directory = ChunkNames.DirectoryOf(chunk.Handle);
        disk.CreateDirectory(directory);
        await FlushParentsAsync(disk);      // also when it was there: whoever made it may not have come so far
        DeleteFiles(disk, chunk.Handle, suffix);
        var frames = disk.Open(ChunkNames.Of(chunk.Handle, "chunk" + suffix), create: true);
        IDiskFile? metaFile = null;
        try
        {
            frames.Reserve(0, Math.Min(FirstReservation, chunk.Capacity));
            if (baseBytes.Length > 0)
            {
                using var baseFile = disk.Open(ChunkNames.Of(chunk.Handle, "base" + suffix), create: true);
                baseFile.Write(0, baseBytes);
                await baseFile.FlushAsync();
            }
            string temporary = ChunkNames.Of(chunk.Handle, "meta.new" + suffix);
            metaFile = disk.Open(temporary, create: true);
            MetadataSlots.Fill(metaFile, new ChunkMetadata(chunk, Ballot.None, Ballot.None, 0, Sealed: false, Crc32C.Compute(baseBytes), disk.BootId));
            await metaFile.FlushAsync();
            metaFile.Dispose();
            disk.Rename(temporary, ChunkNames.Of(chunk.Handle, "meta" + suffix));
            metaFile = disk.Open(ChunkNames.Of(chunk.Handle, "meta" + suffix), create: false);
            await disk.FlushDirectoryAsync(directory);
            if (!MetadataSlots.TryRead(metaFile, out var slots, out var fault))
                throw new IOException($"{ChunkNames.Of(chunk.Handle, "meta" + suffix)} was just written: {fault}");
            return new ChunkFiles(disk, frames, slots, baseBytes, isCopy);
        }
        catch
        {
            frames.Dispose();
            metaFile?.Dispose();
            DeleteFiles(disk, chunk.Handle, suffix);
            throw;
        }
    }

    /// <summary>
    /// Closes a copy, all of which is durable, and gives it the replica's names; whatever had them must be closed. Durable on return.
    /// </summary>
    /// <remarks>
    /// After a crash in between the replica has the new frames and perhaps still the old metadata: then it is one that has not heard of its SEAL, or counts as damaged. The frames are
    /// durable under their name before the metadata that vouches for them is.
    /// </remarks>
    /// <exception cref="IOException">It was not put in place, or not wholly. What is there is what a start would find.</exception>
    public async ValueTask InstallAsync()
    {
        Invariant.Holds(_isCopy);
        Dispose();
        var handle = Metadata.Chunk.Handle;
        if (BaseBytes.Length > 0)
            Rename("base");
        else
            _disk.Delete(ChunkNames.Of(handle, "base"));
        Rename("chunk");
        await _disk.FlushDirectoryAsync(ChunkNames.DirectoryOf(handle));
        Rename("meta");
        await _disk.FlushDirectoryAsync(ChunkNames.DirectoryOf(handle));

        void Rename(string extension) => _disk.Rename(ChunkNames.Of(handle, extension + ChunkNames.Copy), ChunkNames.Of(handle, extension));
    }

    /// <summary>Deletes the copies that were not finished.</summary>
    public static void DeleteCopies(IDisk disk)
    {
        foreach (string directory in disk.ListDirectories(ChunkNames.Root))
        {
            foreach (string name in disk.ListFiles($"{ChunkNames.Root}/{directory}"))
            {
                if (name.EndsWith(ChunkNames.Copy, StringComparison.Ordinal))
                    disk.Delete($"{ChunkNames.Root}/{directory}/{name}");
            }
        }
    }

    /// <summary>Opens what <see cref="List"/> named.</summary>
    public static bool TryOpen(IDisk disk, ChunkHandle handle, [NotNullWhen(true)] out ChunkFiles? files, [NotNullWhen(false)] out ChunkFault? fault)
    {
        files = null;
        IDiskFile? metaFile = null, frames = null;
        string name = ChunkNames.Of(handle, "meta");
        try
        {
            metaFile = disk.Open(name, create: false);
            if (!MetadataSlots.TryRead(metaFile, out var slots, out fault))
                fault = fault with { Message = $"{name}: {fault.Message}" };
            else if (slots.Current.Chunk.Handle != handle)
                fault = Unreadable($"{name} belongs to chunk {slots.Current.Chunk.Handle}");
            else if (!TryReadBase(disk, handle, slots.Current.BaseDigest, out byte[]? baseBytes, out string? problem))
                fault = Unreadable($"{ChunkNames.Of(handle, "base")}: {problem}");
            else
            {
                name = ChunkNames.Of(handle, "chunk");
                frames = disk.Open(name, create: false);
                files = new ChunkFiles(disk, frames, slots, baseBytes, isCopy: false);
                return true;
            }
        }
        catch (FileNotFoundException)
        {
            fault = Unreadable($"{name} is missing");
        }
        catch (OddFileException e)
        {
            fault = Unreadable(e.Message);
        }
        catch (IOException e)
        {
            fault = new ChunkFault(ChunkFaultKind.DiskFailed, e.Message);
        }
        metaFile?.Dispose();
        frames?.Dispose();
        return false;
    }

    private static ChunkFault Unreadable(string message) => new(ChunkFaultKind.Unreadable, message);

    /// <summary>
    /// Deletes what a loss of power left of a replica that was being made: before the last flush, names become durable in any order. It has seen no view, so nobody
    /// counts on it. False: it has, or cannot be read; nothing was done.
    /// </summary>
    public static bool TryDeleteUnfinished(IDisk disk, ChunkHandle handle)
    {
        try
        {
            using (var metaFile = disk.Open(ChunkNames.Of(handle, "meta"), create: false))
            {
                if (!MetadataSlots.TryRead(metaFile, out var slots, out _) || slots.Current.Chunk.Handle != handle || slots.Fault is not null
                    || slots.Current.Promised != Ballot.None || slots.Current.LastView != Ballot.None)
                    return false;
            }
            DeleteFiles(disk, handle, "");
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Reads frames; may run beside everything else.</summary>
    public int Read(uint offset, Span<byte> target) => _frames.Read(offset, target);

    /// <summary>Writes at the end. The bytes are durable after the next <see cref="FlushAsync"/>.</summary>
    /// <exception cref="DiskFullException">Nothing was added.</exception>
    /// <exception cref="EndOfStreamException">The file is shorter than what was written (<see cref="IsCutShort"/>): behind a hole the bytes would be worth nothing.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        uint end = Length + (uint)bytes.Length;
        Invariant.Holds(end <= Metadata.Chunk.Capacity);
        if (_hasRemains)
            Cut(Length);
        if (IsCutShort)
            throw new EndOfStreamException($"{ChunkNames.Of(Metadata.Chunk.Handle, "chunk")} is shorter than the {Length} bytes that were written");
        if (end > _reserved)
        {
            uint step = Math.Clamp(Length, FirstReservation, LargestReservation);
            uint upTo = Math.Min(Metadata.Chunk.Capacity, Math.Max(end, _reserved + step));
            _frames.Reserve(_reserved, upTo - _reserved);
            _reserved = upTo;
        }
        try
        {
            _frames.Write(Length, bytes);
        }
        catch (DiskFullException)
        {
            // Any part may have been written, even all of it: a later scan would find frames that nobody here knows of.
            Cut(Length);
            throw;
        }
        Length = end;
    }

    /// <summary>Forgets everything from <paramref name="length"/> on.</summary>
    public void Cut(uint length)
    {
        Invariant.Holds(length <= Length);
        Invariant.Holds(length >= Metadata.Durable || length == Length);    // or a crash would make a sound replica look damaged
        _frames.SetLength(length);
        Length = length;
        _reserved = length;
        _hasRemains = false;
    }

    /// <summary>From now on the log ends here. The bytes behind stay in the file until something is appended: they may be all that is left of some records.</summary>
    public void SetAside(uint length)
    {
        Invariant.Holds(length <= Length);
        _hasRemains |= length < Length;
        Length = length;
        _reserved = length;
    }

    /// <summary>Makes all frames that were written before the call durable.</summary>
    public ValueTask FlushAsync() => _frames.FlushAsync();

    /// <summary>The first frames, all durable, need not stay in memory.</summary>
    public void LeaveMemory(uint length) => _frames.LeaveMemory(0, length);

    /// <summary>Makes what a scan has found durable: after a crash of the process it may be in the page cache only.</summary>
    /// <param name="provenTo">
    /// Frames below are known to be durable. The others are written again first: the flush of an earlier process may have failed, and after that the
    /// kernel takes their pages for clean and would never write them.
    /// </param>
    public async ValueTask MakeDurableAsync(uint provenTo)
    {
        await FlushParentsAsync(_disk);
        await _disk.FlushDirectoryAsync(ChunkNames.DirectoryOf(Metadata.Chunk.Handle));
        var block = new byte[Math.Min(1 << 20, Length - Math.Min(provenTo, Length))];
        for (uint at = provenTo; at < Length; at += (uint)block.Length)
        {
            int read = _frames.Read(at, block.AsSpan(0, (int)Math.Min((uint)block.Length, Length - at)));
            _frames.Write(at, block.AsSpan(0, read));
        }
        await FlushAllAsync();
    }

    /// <summary>Makes everything that was written before the call durable.</summary>
    public async ValueTask FlushAllAsync()
    {
        await _frames.FlushAsync();
        await _slots.FlushAsync();
    }

    /// <summary>Durable on return.</summary>
    /// <param name="promised">See <see cref="ChunkMetadata"/>, as for the others.</param>
    /// <param name="lastView"></param>
    /// <param name="committed"></param>
    /// <param name="isSealed"></param>
    /// <param name="bootId">Null: the machine's current boot. A replica that may have forgotten something keeps the one that says so.</param>
    /// <param name="durable">Frames below it were flushed; 0: not known.</param>
    /// <param name="both">See <see cref="IsMetadataDoubled"/>.</param>
    public ValueTask WriteMetadataAsync(
        Ballot promised, Ballot lastView, uint committed, bool isSealed, string? bootId = null, uint durable = 0, bool both = false) =>
        _slots.WriteAsync(
            Metadata with
            {
                Promised = promised,
                LastView = lastView,
                Committed = committed,
                Sealed = isSealed,
                BootId = bootId ?? _disk.BootId,
                Durable = durable,
            },
            both);

    /// <summary>
    /// Before frames are cut that were flushed: without this they would be missed after a crash. Durable on return. Nothing else of the metadata changes.
    /// </summary>
    /// <param name="durable">What is known to be durable from now on.</param>
    /// <param name="bootId">Null: it stays.</param>
    public ValueTask LowerDurableAsync(uint durable, string? bootId = null) =>
        durable >= Metadata.Durable && (bootId ?? Metadata.BootId) == Metadata.BootId ? ValueTask.CompletedTask
            : _slots.WriteAsync(Metadata with { Durable = Math.Min(durable, Metadata.Durable), BootId = bootId ?? Metadata.BootId }, both: false);

    /// <summary>Closes and deletes. What is left after a crash in between is no replica any more.</summary>
    public async ValueTask DeleteAsync()
    {
        Dispose();
        string suffix = _isCopy ? ChunkNames.Copy : "";
        _disk.Delete(ChunkNames.Of(Metadata.Chunk.Handle, "meta" + suffix));
        await _disk.FlushDirectoryAsync(ChunkNames.DirectoryOf(Metadata.Chunk.Handle));
        DeleteFiles(_disk, Metadata.Chunk.Handle, suffix);
    }

    public void Dispose()
    {
        _frames.Dispose();
        _slots.Dispose();
    }

    private static async ValueTask FlushParentsAsync(IDisk disk)
    {
        await disk.FlushDirectoryAsync(ChunkNames.Root);
        await disk.FlushDirectoryAsync("");
    }

    private static void DeleteFiles(IDisk disk, ChunkHandle handle, string suffix)
    {
        foreach (string extension in (ReadOnlySpan<string>)["meta", "meta.new", "chunk", "base"])
            disk.Delete(ChunkNames.Of(handle, extension + suffix));
    }

    private static bool TryReadBase(
        IDisk disk, ChunkHandle handle, uint digest, [NotNullWhen(true)] out byte[]? bytes, [NotNullWhen(false)] out string? fault)
    {
        byte[] content = [];
        fault = null;
        try
        {
            using var file = disk.Open(ChunkNames.Of(handle, "base"), create: false);
            if (file.Length > MostBaseBytes)
                fault = $"it has {file.Length} bytes";
            else
            {
                content = new byte[file.Length];
                int read = file.Read(0, content);
                if (read != content.Length)
                    fault = $"only {read} of {content.Length} bytes could be read";
            }
        }
        catch (FileNotFoundException)
        {
            // An empty one.
        }
        if (fault is null && Crc32C.Compute(content) != digest)
            fault = $"the digest is {Crc32C.Compute(content):x8}, the metadata says {digest:x8}";
        bytes = fault is null ? content : null;
        return fault is null;
    }
}
