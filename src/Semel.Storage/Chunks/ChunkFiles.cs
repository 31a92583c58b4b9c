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

    private readonly IDisk _disk;
    private readonly IDiskFile _frames;
    private readonly IDiskFile _metaFile;
    private ulong _generation;
    private uint _reserved;

    private ChunkFiles(IDisk disk, IDiskFile frames, IDiskFile metaFile, ChunkMetadata metadata, ulong generation, byte[] baseBytes)
    {
        _disk = disk;
        _frames = frames;
        _metaFile = metaFile;
        _generation = generation;
        Metadata = metadata;
        BaseBytes = baseBytes;
        Length = (uint)Math.Min(frames.Length, uint.MaxValue);
        _reserved = Length;
    }

    /// <summary>As last written; durable when the write returned.</summary>
    public ChunkMetadata Metadata { get; private set; }

    /// <summary>The chunk's base as it was stored; its CRC32C is <see cref="ChunkMetadata.BaseDigest"/>.</summary>
    public byte[] BaseBytes { get; }

    /// <summary>The machine's current boot; compare with the metadata's to learn whether unflushed bytes may be gone.</summary>
    public string BootId => _disk.BootId;

    /// <summary>Length of the frames' file in bytes.</summary>
    public uint Length { get; private set; }

    /// <summary>Handles of all replicas on the disk, in order.</summary>
    public static IEnumerable<ChunkHandle> List(IDisk disk)
    {
        foreach (string directory in disk.ListDirectories("chunks"))
        {
            foreach (string name in disk.ListFiles($"chunks/{directory}"))
            {
                if (name.Length == 21 && name.EndsWith(".meta", StringComparison.Ordinal)
                    && ulong.TryParse(name.AsSpan(0, 16), System.Globalization.NumberStyles.AllowHexSpecifier, null, out ulong value))
                    yield return new ChunkHandle(value);
            }
        }
    }

    /// <summary>There is a replica of the chunk, whether it can be opened or not.</summary>
    public static bool Exists(IDisk disk, ChunkHandle handle) => disk.FileExists(NameOf(handle, "meta"));

    /// <summary>Makes an empty replica; all of it is durable on return. What an earlier attempt left behind is replaced.</summary>
    public static async ValueTask<ChunkFiles> CreateAsync(IDisk disk, ChunkDescription chunk, byte[] baseBytes)
    {
        string directory = DirectoryOf(chunk.Handle);
        disk.CreateDirectory(directory);
        await FlushParentsAsync(disk);      // also when it was there: whoever made it may not have come so far
        DeleteFiles(disk, chunk.Handle);
        var frames = disk.Open(NameOf(chunk.Handle, "chunk"), create: true);
        IDiskFile? metaFile = null;
        try
        {
            frames.Reserve(0, Math.Min(FirstReservation, chunk.Capacity));
            if (baseBytes.Length > 0)
            {
                using var baseFile = disk.Open(NameOf(chunk.Handle, "base"), create: true);
                baseFile.Write(0, baseBytes);
                await baseFile.FlushAsync();
            }
            string temporary = NameOf(chunk.Handle, "meta.new");
            metaFile = disk.Open(temporary, create: true);
            var metadata = new ChunkMetadata(chunk, Ballot.None, Ballot.None, 0, Sealed: false, Crc32C.Compute(baseBytes), disk.BootId);
            WriteSlot(metaFile, metadata, 1);
            metaFile.SetLength(ChunkMetadata.SlotStride + ChunkMetadata.SlotSize);
            await metaFile.FlushAsync();
            metaFile.Dispose();
            disk.Rename(temporary, NameOf(chunk.Handle, "meta"));
            metaFile = disk.Open(NameOf(chunk.Handle, "meta"), create: false);
            await disk.FlushDirectoryAsync(directory);
            return new ChunkFiles(disk, frames, metaFile, metadata, 1, baseBytes);
        }
        catch
        {
            frames.Dispose();
            metaFile?.Dispose();
            DeleteFiles(disk, chunk.Handle);
            throw;
        }
    }

    /// <summary>Opens what <see cref="List"/> named. The fault says which file is wrong and how.</summary>
    public static bool TryOpen(IDisk disk, ChunkHandle handle, [NotNullWhen(true)] out ChunkFiles? files, [NotNullWhen(false)] out string? fault)
    {
        files = null;
        IDiskFile? metaFile = null, frames = null;
        try
        {
            metaFile = disk.Open(NameOf(handle, "meta"), create: false);
            if (!TryReadNewest(metaFile, out var metadata, out ulong generation, out fault))
                fault = $"{NameOf(handle, "meta")}: {fault}";
            else if (metadata.Chunk.Handle != handle)
                fault = $"{NameOf(handle, "meta")} belongs to chunk {metadata.Chunk.Handle}";
            else if (!disk.FileExists(NameOf(handle, "chunk")))
                fault = $"{NameOf(handle, "chunk")} is missing";
            else if (!TryReadBase(disk, handle, metadata.BaseDigest, out byte[]? baseBytes, out fault))
                fault = $"{NameOf(handle, "base")}: {fault}";
            else
            {
                frames = disk.Open(NameOf(handle, "chunk"), create: false);
                if (frames.Length > metadata.Chunk.Capacity)
                    fault = $"{NameOf(handle, "chunk")} has {frames.Length} bytes, its capacity is {metadata.Chunk.Capacity}";
                else
                {
                    files = new ChunkFiles(disk, frames, metaFile, metadata, generation, baseBytes);
                    return true;
                }
            }
        }
        catch (IOException e)
        {
            fault = e.Message;
        }
        metaFile?.Dispose();
        frames?.Dispose();
        return false;
    }

    /// <summary>
    /// Deletes what a loss of power left of a replica that was being made: before the last flush, names become durable in any order. It has seen no view, so nobody
    /// counts on it. False: it has, or cannot be read; nothing was done.
    /// </summary>
    public static bool TryDeleteUnfinished(IDisk disk, ChunkHandle handle)
    {
        try
        {
            using (var metaFile = disk.Open(NameOf(handle, "meta"), create: false))
            {
                if (!TryReadNewest(metaFile, out var metadata, out _, out _) || metadata.Chunk.Handle != handle
                    || metadata.Promised != Ballot.None || metadata.LastView != Ballot.None)
                    return false;
            }
            DeleteFiles(disk, handle);
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
    public void Append(ReadOnlySpan<byte> bytes)
    {
        uint end = Length + (uint)bytes.Length;
        Invariant.Holds(end <= Metadata.Chunk.Capacity);
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
        _frames.SetLength(length);
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
        await _disk.FlushDirectoryAsync(DirectoryOf(Metadata.Chunk.Handle));
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
        await _metaFile.FlushAsync();
    }

    /// <summary>Durable on return.</summary>
    /// <param name="promised">See <see cref="ChunkMetadata"/>, as for the others.</param>
    /// <param name="lastView"></param>
    /// <param name="committed"></param>
    /// <param name="isSealed"></param>
    /// <param name="bootId">Null: the machine's current boot. A replica that may have forgotten something keeps the one that says so.</param>
    public async ValueTask WriteMetadataAsync(Ballot promised, Ballot lastView, uint committed, bool isSealed, string? bootId = null)
    {
        var metadata = Metadata with { Promised = promised, LastView = lastView, Committed = committed, Sealed = isSealed, BootId = bootId ?? _disk.BootId };
        WriteSlot(_metaFile, metadata, _generation + 1);
        _generation++;
        await _metaFile.FlushAsync();
        Metadata = metadata;
    }

    /// <summary>Closes and deletes. What is left after a crash in between is no replica any more.</summary>
    public async ValueTask DeleteAsync()
    {
        Dispose();
        _disk.Delete(NameOf(Metadata.Chunk.Handle, "meta"));
        await _disk.FlushDirectoryAsync(DirectoryOf(Metadata.Chunk.Handle));
        DeleteFiles(_disk, Metadata.Chunk.Handle);
    }

    public void Dispose()
    {
        _frames.Dispose();
        _metaFile.Dispose();
    }

    private static async ValueTask FlushParentsAsync(IDisk disk)
    {
        await disk.FlushDirectoryAsync("chunks");
        await disk.FlushDirectoryAsync("");
    }

    private static string DirectoryOf(ChunkHandle handle) => $"chunks/{handle.ToString().AsSpan(14)}";

    private static string NameOf(ChunkHandle handle, string extension) => $"{DirectoryOf(handle)}/{handle}.{extension}";

    private static void DeleteFiles(IDisk disk, ChunkHandle handle)
    {
        foreach (string extension in (ReadOnlySpan<string>)["meta", "meta.new", "chunk", "base"])
            disk.Delete(NameOf(handle, extension));
    }

    /// <summary>Slots alternate, so the generation after the newest valid one never lands on it.</summary>
    private static void WriteSlot(IDiskFile file, ChunkMetadata metadata, ulong generation)
    {
        Span<byte> slot = stackalloc byte[ChunkMetadata.SlotSize];
        metadata.Write(slot, generation);
        file.Write((long)(generation % 2) * ChunkMetadata.SlotStride, slot);
    }

    private static bool TryReadNewest(
        IDiskFile file, [NotNullWhen(true)] out ChunkMetadata? newest, out ulong generation, [NotNullWhen(false)] out string? fault)
    {
        newest = null;
        generation = 0;
        fault = null;
        Span<byte> slot = stackalloc byte[ChunkMetadata.SlotSize];
        for (int i = 0; i < 2; i++)
        {
            int read = file.Read(i * ChunkMetadata.SlotStride, slot);
            if (!ChunkMetadata.TryRead(slot[..read], out var metadata, out ulong found, out string? problem))
                fault = fault is null ? $"slot {i}: {problem}" : $"{fault}; slot {i}: {problem}";
            else if (newest is null || found > generation)
                (newest, generation) = (metadata, found);
        }
        if (newest is null)
        {
            fault ??= "no valid slot";
            return false;
        }
        fault = null;
        return true;
    }

    private static bool TryReadBase(
        IDisk disk, ChunkHandle handle, uint digest, [NotNullWhen(true)] out byte[]? bytes, [NotNullWhen(false)] out string? fault)
    {
        bytes = [];
        fault = null;
        string name = NameOf(handle, "base");
        if (disk.FileExists(name))
        {
            using var file = disk.Open(name, create: false);
            bytes = new byte[file.Length];
            int read = file.Read(0, bytes);
            if (read != bytes.Length)
                fault = $"only {read} of {bytes.Length} bytes could be read";
        }
        if (fault is null && Crc32C.Compute(bytes) != digest)
            fault = $"the digest is {Crc32C.Compute(bytes):x8}, the metadata says {digest:x8}";
        if (fault is null)
            return true;
        bytes = null;
        return false;
    }
}
