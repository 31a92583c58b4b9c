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

    [Fact]
    public void Every_flipped_bit_of_a_slot_is_noticed()
    {
        var metadata = new ChunkMetadata(Chunk, Ballot.OfVersion(3), Ballot.OfVersion(2), 64, true, 77, "boot");
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
