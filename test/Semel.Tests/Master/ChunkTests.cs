using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class ChunkTests
{
    [Fact]
    public void The_first_chunk_is_made_when_somebody_wants_to_append() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");

        var none = await m.LocateTailAsync("/a", create: false);
        var found = await m.LocateTailAsync("/a");

        Assert.Equal((Status.Ok, null), (none.Status, none.Chunk));
        Assert.Equal((Status.Ok, 0UL, 1UL), (found.Status, found.Chunk.Index, found.Chunk.Version));
        Assert.Equal(servers.Select(s => s.Id).Order(), found.Chunk.Members.Select(s => s.ServerId).Order());
        var primary = Assert.Single(servers, s => s.Id == found.Chunk.Primary.ServerId);
        var grant = Assert.Single(primary.Grants);
        Assert.Equal((1UL, 2u, false, 3), (grant.Version, grant.MinMembers, grant.Seal, grant.Members.Count));
        Assert.Equal(primary.Address, found.Chunk.Primary.Address);
        Assert.All(servers, s => Assert.Equal(0UL, Assert.Single(s.Creates).Base?.PreviousHandle ?? 0));
    });

    [Fact]
    public void A_server_that_cannot_make_a_replica_is_replaced_by_another() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        await m.CreateAsync("/a");
        int failures = 0;
        foreach (var server in servers)
            server.OnCreate = _ => new CreateChunkReply { Status = failures++ == 0 ? Status.DiskFailed : Status.Ok, Detail = "full" };

        var found = await m.LocateTailAsync("/a");

        Assert.Equal(3, found.Chunk.Members.Count);
        Assert.Equal(4, servers.Sum(s => s.Creates.Count));
        Assert.Single(servers.SelectMany(s => s.Creates).Select(c => c.Handle).Distinct());
    });

    [Fact]
    public void Chunks_that_are_all_wanted_at_once_are_made_a_few_at_a_time() => MasterFixture.Run(async m =>
    {
        m.Options.ParallelChunkMaking = 2;
        await m.RestartAsync();
        var servers = await m.JoinAsync(3);
        int most = 0;
        int Underway() => servers.SelectMany(s => s.Creates).Select(c => c.Handle).Distinct().Count() - servers.Sum(s => s.Grants.Count);
        foreach (var server in servers)
        {
            server.OnCreate = _ =>
            {
                most = Math.Max(most, Underway());
                return new CreateChunkReply { Status = Status.Ok };
            };
        }
        for (int i = 0; i < 10; i++)
            await m.CreateAsync($"/{i}");

        var found = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => m.LocateTailAsync($"/{i}")));

        Assert.All(found, f => Assert.Equal((Status.Ok, 3), (f.Status, f.Chunk.Members.Count)));
        Assert.Equal(2, most);
    });

    [Fact]
    public void With_fewer_servers_than_replicas_but_enough_a_chunk_is_made() => MasterFixture.Run(async m =>
    {
        await m.JoinAsync(2);
        await m.CreateAsync("/a");

        Assert.Equal(2, (await m.LocateTailAsync("/a")).Chunk.Members.Count);
    });

    [Fact]
    public void Who_waits_for_a_chunk_gets_it_as_soon_as_servers_come() => MasterFixture.Run(async m =>
    {
        await m.JoinAsync("cs0");
        await m.CreateAsync("/a");

        var refused = await m.LocateTailAsync("/a");
        var waiting = m.LocateTailAsync("/a");
        await m.PassAsync(TimeSpan.FromSeconds(1));
        Assert.False(waiting.IsCompleted);
        await m.JoinAsync("cs1");
        var found = await waiting;

        Assert.Equal(Status.Unavailable, refused.Status);
        Assert.Contains("1 chunk servers are alive, 2 are needed", refused.Detail);
        Assert.Equal(2, found.Chunk.Members.Count);
    });

    [Fact]
    public void A_sealed_chunk_is_followed_by_one_that_starts_from_its_base() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(5);
        await m.CreateAsync("/a");
        var first = (await m.LocateTailAsync("/a")).Chunk;

        Assert.Equal(Status.Ok, (await SealAsync(m, first, 5000, 0xabcd)).Status);
        var second = (await m.LocateTailAsync("/a")).Chunk;
        var chunks = await m.LocateChunksAsync("/a");

        Assert.Equal((1UL, first.Primary.ServerId), (second.Index, second.Primary.ServerId));
        Assert.Equal(first.Members.Select(s => s.ServerId).Order(), second.Members.Select(s => s.ServerId).Order());
        var create = servers.SelectMany(s => s.Creates).First(c => c.Handle == second.Handle);
        Assert.Equal((first.Handle, 5000u, 0xabcdu), (create.Base.PreviousHandle, create.Base.PreviousLength, create.Base.Digest));
        Assert.Equal(3, create.Base.Sources.Count);
        Assert.Equal([true, false], chunks.Chunks.Select(c => c.Sealed));
        Assert.Equal(5000u, chunks.Chunks[0].SealedLength);
        Assert.Equal(5000UL, (await m.StatAsync("/a")).SealedBytes);
    });

    [Fact]
    public void Only_the_current_primary_can_report_a_seal_and_saying_it_again_is_harmless() => MasterFixture.Run(async m =>
    {
        await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        var stranger = chunk.Members.First(s => s.ServerId != chunk.Primary.ServerId);

        var unknown = await SealAsync(m, new ChunkLocation { Handle = 1234, Version = 1, Primary = chunk.Primary }, 100, 1);
        var notPrimary = await SealAsync(m, new ChunkLocation { Handle = chunk.Handle, Version = 1, Primary = stranger }, 100, 1);
        var oldVersion = await SealAsync(m, new ChunkLocation { Handle = chunk.Handle, Version = 0, Primary = chunk.Primary }, 100, 1);
        var tooLong = await SealAsync(m, chunk, uint.MaxValue, 1);
        Assert.False(m.ChunkOf(chunk).IsSealed);
        var first = await SealAsync(m, chunk, 100, 1);
        await m.LocateTailAsync("/a");
        string state = m.State.Dump();
        var again = await SealAsync(m, chunk, 100, 1);
        var contradiction = await SealAsync(m, chunk, 200, 1);

        Assert.Equal([Status.NotFound, Status.Stale, Status.Stale, Status.Invalid], [unknown.Status, notPrimary.Status, oldVersion.Status, tooLong.Status]);
        Assert.Equal([Status.Ok, Status.Ok, Status.Stale], [first.Status, again.Status, contradiction.Status]);
        Assert.Equal(state, m.State.Dump());
    });

    [Fact]
    public void Replicas_that_were_made_for_nothing_are_deleted() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        await m.CreateAsync("/a");
        int calls = 0;
        foreach (var server in servers)
            server.OnCreate = _ => calls++ == 0 ? null : new CreateChunkReply { Status = Status.Ok };

        var found = (await m.LocateTailAsync("/a")).Chunk;
        var leftOut = servers.Single(s => found.Members.All(member => member.ServerId != s.Id));
        await leftOut.BeatAsync();

        var delete = Assert.Single(leftOut.Commands).DeleteChunk;
        Assert.Equal((found.Handle, 1UL), (delete.Handle, delete.OnlyIfPromisedBelow));
    });

    [Fact]
    public void Leases_are_renewed_for_the_primaries_that_the_log_names() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;

        await m.PassAsync(TimeSpan.FromSeconds(8));

        Assert.All(servers, s => Assert.Equal(s.Id == chunk.Primary.ServerId, s.Leases.Count > 0));
        var lease = servers.SelectMany(s => s.Leases).First();
        Assert.Equal((chunk.Handle, 1UL, 10_000u), (lease.Handle, lease.Version, lease.LeaseMs));
    });

    internal static Task<SealedReply> SealAsync(MasterFixture m, ChunkLocation chunk, uint length, uint digest) =>
        m.CallAsync<SealedReply>(MessageKind.Sealed, new SealedRequest
        {
            Handle = chunk.Handle,
            Version = chunk.Version,
            Sender = chunk.Primary.ServerId,
            Length = length,
            BaseDigest = digest,
        });
}
