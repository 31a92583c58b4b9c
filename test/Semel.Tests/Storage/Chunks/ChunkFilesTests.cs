using System.Buffers.Binary;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Storage.Chunks;
using Semel.Storage.Disks;

namespace Semel.Tests.Storage.Chunks;

public sealed class ChunkFilesTests : IDisposable
{
    private static readonly ChunkDescription Chunk = new(new ChunkHandle(0xabcdef), new FileId(5), 2, ChunkLimits.MinCapacity, Durability.Memory);
    private readonly TemporaryDirectory _directory = new();
    private readonly RealDisk _disk;

    public ChunkFilesTests() => _disk = new RealDisk(_directory.Path);

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task What_was_created_is_listed_and_opens_again()
    {
        using (await ChunkFiles.CreateAsync(_disk, Chunk, [1, 2, 3]))
        {
        }

        Assert.Equal([Chunk.Handle], ChunkFiles.List(_disk));
        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var files, out var fault), $"{fault}");
        Assert.Equal(Chunk, files.Metadata.Chunk);
        Assert.Equal([1, 2, 3], files.BaseBytes);
        files.Dispose();
    }

    [Fact]
    public async Task Metadata_survives_when_the_newest_slot_is_torn()
    {
        using (var files = await ChunkFiles.CreateAsync(_disk, Chunk, []))
        {
            await files.WriteMetadataAsync(Ballot.OfVersion(3), Ballot.OfVersion(2), 64, isSealed: false);
            await files.WriteMetadataAsync(Ballot.OfVersion(4), Ballot.OfVersion(4), 128, isSealed: false);
        }
        using (var meta = _disk.Open("chunks/ef/0000000000abcdef.meta", create: false))
            meta.Write(ChunkMetadata.SlotStride + 50, [0xff]);

        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var reopened, out var fault), $"{fault}");
        Assert.Equal(Ballot.OfVersion(3), reopened.Metadata.Promised);
        await reopened.WriteMetadataAsync(Ballot.OfVersion(9), Ballot.OfVersion(9), 128, isSealed: false);
        reopened.Dispose();
        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var again, out fault), $"{fault}");
        Assert.Equal(Ballot.OfVersion(9), again.Metadata.Promised);
        again.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task When_both_slots_say_the_same_either_may_rot_and_it_is_told(int slot)
    {
        using (var files = await ChunkFiles.CreateAsync(_disk, Chunk, []))
        {
            await files.WriteMetadataAsync(Ballot.OfVersion(3), Ballot.OfVersion(2), 64, isSealed: false);
            Assert.False(files.IsMetadataDoubled);
            await files.WriteMetadataAsync(Ballot.OfVersion(4), Ballot.OfVersion(4), 128, isSealed: false, durable: 200, both: true);
            Assert.True(files.IsMetadataDoubled);
        }
        using (var meta = _disk.Open("chunks/ef/0000000000abcdef.meta", create: false))
            meta.Write(slot * ChunkMetadata.SlotStride, new byte[ChunkMetadata.SlotSize]);

        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var reopened, out var fault), $"{fault}");
        Assert.Equal((Ballot.OfVersion(4), 128u, 200u), (reopened.Metadata.Promised, reopened.Metadata.Committed, reopened.Metadata.Durable));
        Assert.Contains($"slot {slot}", reopened.MetadataFault, StringComparison.Ordinal);
        await reopened.WriteMetadataAsync(Ballot.OfVersion(4), Ballot.OfVersion(4), 128, isSealed: false, reopened.Metadata.BootId, durable: 200, both: true);
        reopened.Dispose();
        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var healed, out fault), $"{fault}");
        Assert.Null(healed.MetadataFault);
        Assert.True(healed.IsMetadataDoubled);
        healed.Dispose();
    }

    [Fact]
    public async Task Metadata_of_a_newer_version_is_refused_also_when_the_other_slot_is_readable()
    {
        using (await ChunkFiles.CreateAsync(_disk, Chunk, []))
        {
        }
        using (var meta = _disk.Open("chunks/ef/0000000000abcdef.meta", create: false))
        {
            var slot = new byte[ChunkMetadata.SlotSize];
            meta.Read(0, slot);
            slot[6] = 2;
            BinaryPrimitives.WriteUInt32LittleEndian(slot, Crc32C.Compute(slot.AsSpan(4)));
            meta.Write(0, slot);
        }

        Assert.False(ChunkFiles.TryOpen(_disk, Chunk.Handle, out _, out var fault));

        Assert.Equal(ChunkFaultKind.Newer, fault.Kind);
    }

    [Theory]
    [InlineData("meta", OddThing.Directory)]
    [InlineData("chunk", OddThing.Directory)]
    [InlineData("base", OddThing.Directory)]
    [InlineData("meta", OddThing.Pipe)]
    [InlineData("chunk", OddThing.Pipe)]
    [InlineData("base", OddThing.Pipe)]
    [InlineData("meta", OddThing.Socket)]
    [InlineData("chunk", OddThing.Socket)]
    [InlineData("chunk", OddThing.LinkToItself)]
    public async Task What_is_no_replica_goes_to_quarantine_and_its_place_is_free(string extension, OddThing thing)
    {
        if (!OperatingSystem.IsLinux())
            return;
        using (var files = await ChunkFiles.CreateAsync(_disk, Chunk, [1]))
            await files.WriteMetadataAsync(Ballot.OfVersion(1), Ballot.OfVersion(1), 0, isSealed: false);
        string path = Path.Combine(_directory.Path, $"chunks/ef/0000000000abcdef.{extension}");
        File.Delete(path);
        OddThings.Make(thing, path);

        Assert.Equal([Chunk.Handle], ChunkFiles.List(_disk));
        Assert.False(ChunkFiles.TryOpen(_disk, Chunk.Handle, out _, out var fault));
        Assert.Equal(ChunkFaultKind.Unreadable, fault.Kind);
        Assert.Contains(path, fault.Message, StringComparison.Ordinal);
        var moved = await Quarantine.TakeAsync(_disk, Chunk.Handle);

        Assert.Equal(3, moved.Count);
        Assert.Equal(3, Quarantine.Count(_disk));
        Assert.Contains($"quarantine/0000000000abcdef.1.{extension}", moved);
        Assert.Empty(ChunkFiles.List(_disk));
        using (await ChunkFiles.CreateAsync(_disk, Chunk, [1]))
        {
        }
        Assert.Contains("quarantine/0000000000abcdef.2.meta", await Quarantine.TakeAsync(_disk, Chunk.Handle));
    }

    [Fact]
    public async Task A_copy_takes_the_place_of_a_replica_when_it_is_installed_and_not_before()
    {
        var old = await ChunkFiles.CreateAsync(_disk, Chunk, [1]);
        old.Append("old"u8);
        var copy = await ChunkFiles.CreateCopyAsync(_disk, Chunk, [1]);
        copy.Append("newer"u8);
        await copy.FlushAsync();
        await copy.WriteMetadataAsync(Ballot.OfVersion(2), Ballot.OfVersion(2), 5, isSealed: true);

        Assert.Equal(3, ContentLength());
        old.Dispose();
        await copy.InstallAsync();

        Assert.Equal(5, ContentLength());
        Assert.True(ChunkFiles.TryOpen(_disk, Chunk.Handle, out var files, out var fault), $"{fault}");
        Assert.Equal((Ballot.OfVersion(2), true), (files.Metadata.Promised, files.Metadata.Sealed));
        files.Dispose();
        Assert.Equal(3, _disk.ListFiles("chunks/ef").Count);

        long ContentLength() => new FileInfo(Path.Combine(_directory.Path, "chunks/ef/0000000000abcdef.chunk")).Length;
    }

    [Fact]
    public async Task A_copy_that_was_not_finished_is_no_replica_and_is_deleted()
    {
        using (await ChunkFiles.CreateCopyAsync(_disk, Chunk, [1]))
        {
        }

        Assert.Empty(ChunkFiles.List(_disk));
        ChunkFiles.DeleteCopies(_disk);

        Assert.Empty(_disk.ListFiles("chunks/ef"));
    }

    [Fact]
    public void Every_flipped_bit_of_a_slot_is_noticed()
    {
        var metadata = new ChunkMetadata(Chunk, Ballot.OfVersion(3), Ballot.OfVersion(2), 64, true, 77, "boot") { Durable = 96 };
        var slot = new byte[ChunkMetadata.SlotSize];
        metadata.Write(slot, 5);

        Assert.True(ChunkMetadata.TryRead(slot, out var read, out ulong generation, out _));
        Assert.Equal((metadata, 5UL), (read, generation));
        for (int bit = 0; bit < slot.Length * 8; bit++)
        {
            slot[bit / 8] ^= (byte)(1 << bit % 8);
            Assert.False(ChunkMetadata.TryRead(slot, out _, out _, out _), $"bit {bit}");
            slot[bit / 8] ^= (byte)(1 << bit % 8);
        }
    }

    [Fact]
    public async Task A_base_with_rotten_bytes_is_refused()
    {
        using (await ChunkFiles.CreateAsync(_disk, Chunk, [1, 2, 3]))
        {
        }
        using (var file = _disk.Open("chunks/ef/0000000000abcdef.base", create: false))
            file.Write(1, [9]);

        Assert.False(ChunkFiles.TryOpen(_disk, Chunk.Handle, out _, out var fault));
        Assert.Contains("digest", fault.Message);
    }

    [Fact]
    public async Task A_deleted_replica_leaves_nothing()
    {
        var files = await ChunkFiles.CreateAsync(_disk, Chunk, [1]);

        await files.DeleteAsync();

        Assert.Empty(ChunkFiles.List(_disk));
        Assert.Empty(_disk.ListFiles("chunks/ef"));
    }
}
