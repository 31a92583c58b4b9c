using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class NamespaceTests
{
    [Fact]
    public void A_created_file_is_there_with_the_clusters_defaults() => MasterFixture.Run(async m =>
    {
        var created = await m.CreateAsync("/a");
        var stat = await m.StatAsync("/a");

        Assert.True(created.Created);
        Assert.Equal((Status.Ok, created.FileId, 3u, Durability.Group, 64u << 20), (stat.Status, stat.FileId, stat.Replicas, stat.Durability, stat.ChunkCapacity));
    });

    [Theory]
    [InlineData("", Status.Invalid)]
    [InlineData("a", Status.Invalid)]
    [InlineData("/a/", Status.Invalid)]
    [InlineData("/a/../b", Status.Invalid)]
    [InlineData("/a\0b", Status.Invalid)]
    [InlineData("/", Status.Conflict)]
    [InlineData("/missing/a", Status.NotFound)]
    [InlineData("/file/a", Status.Conflict)]
    [InlineData("/file", Status.Conflict)]
    [InlineData("/directory", Status.Conflict)]
    public void A_file_is_refused_with_the_reason(string path, Status expected) => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/file");
        await m.MakeDirectoryAsync("/directory");
        string before = m.State.Dump();

        var reply = await m.CreateAsync(path);

        Assert.Equal(expected, reply.Status);
        Assert.NotEmpty(reply.Detail);
        Assert.Equal(before, m.State.Dump());
    });

    [Fact]
    public void Opening_an_existing_file_wants_the_same_settings() => MasterFixture.Run(async m =>
    {
        var first = await m.CreateAsync("/a", replicas: 2, durability: Durability.Memory);

        var same = await m.CreateAsync("/a", replicas: 2, orOpen: true, durability: Durability.Memory);
        var any = await m.CreateAsync("/a", orOpen: true);
        var others = await m.CreateAsync("/a", replicas: 3, orOpen: true);

        Assert.Equal((Status.Ok, false, first.FileId), (same.Status, same.Created, same.FileId));
        Assert.Equal(Status.Ok, any.Status);
        Assert.Equal(Status.Conflict, others.Status);
        Assert.Contains("2 replicas, not 3", others.Detail);
    });

    [Fact]
    public void Missing_directories_are_made_when_asked() => MasterFixture.Run(async m =>
    {
        Assert.Equal(Status.Ok, (await m.CreateAsync("/x/y/z", parents: true)).Status);
        Assert.Equal(Status.Ok, (await m.MakeDirectoryAsync("/x/y", parents: true)).Status);
        Assert.Equal(Status.Conflict, (await m.MakeDirectoryAsync("/x/y")).Status);
        Assert.Equal(Status.Conflict, (await m.MakeDirectoryAsync("/x/y/z/w", parents: true)).Status);
        Assert.True((await m.StatAsync("/x/y")).Directory);
    });

    [Fact]
    public void A_listing_goes_on_after_any_name_in_ordinal_order() => MasterFixture.Run(async m =>
    {
        foreach (string name in new[] { "b", "B", "a", "ä", "a.b", "ab" })
            await m.CreateAsync("/" + name);

        var first = await m.ListAsync("/", limit: 4);
        var rest = await m.ListAsync("/", after: first.Entries[^1].Name, limit: 4);
        var between = await m.ListAsync("/", after: "aa");
        var beyond = await m.ListAsync("/", after: "\uffff");

        Assert.Equal(["B", "a", "a.b", "ab"], first.Entries.Select(e => e.Name));
        Assert.True(first.More);
        Assert.Equal(["b", "ä"], rest.Entries.Select(e => e.Name));
        Assert.False(rest.More);
        Assert.Equal(["ab", "b", "ä"], between.Entries.Select(e => e.Name));
        Assert.Empty(beyond.Entries);
        Assert.Equal(Status.Conflict, (await m.ListAsync("/a")).Status);
        Assert.Equal(Status.NotFound, (await m.ListAsync("/q")).Status);
        Assert.Equal(Status.Invalid, (await m.ListAsync("/", limit: 10_001)).Status);
    });

    [Fact]
    public void A_directory_with_entries_is_deleted_only_recursively() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/d/e/f", parents: true);
        await m.CreateAsync("/d/g");

        var refused = await m.DeleteAsync("/d");
        var root = await m.DeleteAsync("/", recursive: true);
        var deleted = await m.DeleteAsync("/d", recursive: true);

        Assert.Equal(Status.NotEmpty, refused.Status);
        Assert.Equal(Status.Invalid, root.Status);
        Assert.Equal((Status.Ok, 4UL), (deleted.Status, deleted.Deleted));
        Assert.Equal(Status.NotFound, (await m.StatAsync("/d/e/f")).Status);
        Assert.Equal(Status.NotFound, (await m.DeleteAsync("/d")).Status);
        Assert.Equal((0UL, 1UL), ((await m.StatusAsync()).Files, (await m.StatusAsync()).Directories));
    });

    [Fact]
    public void A_file_made_under_an_old_name_is_another_file() => MasterFixture.Run(async m =>
    {
        var first = await m.CreateAsync("/a");
        await m.DeleteAsync("/a");
        var second = await m.CreateAsync("/a");

        var old = await m.CallAsync<LocateChunksReply>(MessageKind.LocateChunks, new LocateChunksRequest { Path = "/a", FileId = first.FileId });

        Assert.NotEqual(first.FileId, second.FileId);
        Assert.Equal(Status.NotFound, old.Status);
    });

    [Fact]
    public void A_deep_tree_is_deleted_without_recursion() => MasterFixture.Run(async m =>
    {
        string path = string.Concat(Enumerable.Repeat("/d", 2000));
        Assert.Equal(Status.Ok, (await m.MakeDirectoryAsync(path, parents: true)).Status);

        Assert.Equal(2000UL, (await m.DeleteAsync("/d", recursive: true)).Deleted);
    });

    [Fact]
    public void A_call_for_a_chunk_server_is_refused_politely() => MasterFixture.Run(async m =>
    {
        var reply = await m.CallAsync<ReadFramesReply>(MessageKind.ReadFrames, new ReadFramesRequest { Handle = 1 });

        Assert.Equal(ReadStatus.ReadNoChunk, reply.Status);
    });
}
