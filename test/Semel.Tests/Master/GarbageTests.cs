using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class GarbageTests
{
    [Fact]
    public void Chunks_of_a_deleted_file_are_deleted_everywhere_and_the_order_is_repeated_until_it_is_carried_out() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;

        await m.DeleteAsync("/a");

        foreach (var server in servers)
        {
            var first = Assert.Single((await server.BeatAsync()).Commands);
            var second = Assert.Single((await server.BeatAsync()).Commands);
            Assert.Equal(chunk.Handle, first.DeleteChunk.Handle);
            Assert.Equal(first.CommandId, second.CommandId);
            Assert.Empty((await server.TellResultAsync(first.CommandId, Status.Ok)).Commands);
        }
    });

    [Fact]
    public void A_replica_of_a_deleted_file_is_deleted_when_its_server_comes_back() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        await m.DeleteAsync("/a");
        await m.RestartAsync();

        await servers[1].RegisterAsync();
        await servers[1].ReportAllAsync();
        await servers[0].RegisterAsync();
        await servers[0].ReportAllAsync(new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value });
        await m.UntilAsync(() => servers[0].Commands.Count > 0);

        Assert.Equal(chunk.Handle, Assert.Single(servers[0].Commands).DeleteChunk.Handle);
    });

    [Fact]
    public void A_replica_that_this_master_never_gave_away_is_kept() => MasterFixture.Run(async m =>
    {
        var server = await m.JoinAsync("cs");

        var reply = await server.TellAsync(new ChunkReport { Handle = 1_000_000 });

        Assert.Empty(reply.Commands);
        Assert.Empty((await server.BeatAsync()).Commands);
    });

    [Fact]
    public void A_sealed_chunk_that_lost_a_replica_is_copied_to_a_server_without_one() => Sealed(servers: 4, async (m, chunk, servers) =>
    {
        var holders = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var spare = servers.Except(holders).Single();

        holders[0].Die();
        await m.UntilAsync(() => spare.About(chunk).Any());
        var clone = Assert.Single(spare.About(chunk));
        Assert.True((await m.StatusAsync()).UnderReplicated > 0);
        await spare.TellAsync(Good(chunk));
        await spare.TellResultAsync(clone.CommandId, Status.Ok);

        Assert.Equal((chunk.Handle, 1UL, 4096u), (clone.CloneChunk.Handle, clone.CloneChunk.Version, clone.CloneChunk.Length));
        Assert.Equal(holders[1..].Select(s => s.Id).Order(), clone.CloneChunk.Sources.Select(s => s.ServerId).Order());
        Assert.Contains(spare.Id, m.ChunkOf(chunk).Replicas);
        Assert.Equal(0UL, (await m.StatusAsync()).UnderReplicated);
    });

    [Fact]
    public void The_next_copy_begins_when_one_has_ended_and_never_more_at_a_time_than_may() => MasterFixture.Run(async m =>
    {
        const int count = 12;
        var played = await m.JoinAsync(3);
        var chunks = new List<ChunkLocation>();
        for (int i = 0; i < count; i++)
        {
            await m.CreateAsync($"/{i}");
            chunks.Add((await m.LocateTailAsync($"/{i}")).Chunk);
        }
        foreach (var server in played)
            server.OnCreate = _ => null;
        foreach (var chunk in chunks)
        {
            await ChunkTests.SealAsync(m, chunk, 4096, 1);
            foreach (var server in played)
                await server.TellAsync(Good(chunk));
        }
        var lost = played[0];
        await lost.BeatAsync(reports: [.. chunks.Select(c => new ChunkReport { Handle = c.Handle, Gone = true })]);
        await m.UntilAsync(() => lost.Commands.Any(c => c.CloneChunk is not null));
        var began = m.Time.GetUtcNow();

        int most = 0;
        for (int done = 0; done < count; done++)
        {
            var clones = lost.Commands.Where(c => c.CloneChunk is not null).ToList();
            most = Math.Max(most, clones.Count - done);
            Assert.True(clones.Count > done, $"{done} copies have ended, and no further one was ordered");
            await lost.BeatAsync(
                results: [new CommandResult { CommandId = clones[done].CommandId, Status = Status.Ok }],
                reports: [Good(chunks.Single(c => c.Handle == clones[done].CloneChunk.Handle))]);
        }

        Assert.Equal(m.Options.ParallelClonesPerServer, most);
        Assert.InRange(m.Time.GetUtcNow() - began, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.Equal(0UL, (await m.StatusAsync()).UnderReplicated);
    });

    [Fact]
    public void An_outdated_replica_goes_only_when_the_chunk_has_all_its_good_ones() => Sealed(servers: 4, async (m, chunk, servers) =>
    {
        var holders = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var other = servers.Except(holders).Single();
        var lost = holders[0];

        await lost.TellAsync(new ChunkReport { Handle = chunk.Handle, Gone = true });
        await other.TellAsync(new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value, Tail = 100 });
        await m.PassAsync(TimeSpan.FromSeconds(2));
        Assert.Empty(other.About(chunk));
        await lost.TellAsync(Good(chunk));
        await m.UntilAsync(() => other.About(chunk).Any());

        var delete = Assert.Single(other.About(chunk)).DeleteChunk;
        Assert.Equal((2UL, 4097u), (delete.OnlyIfPromisedBelow, delete.OnlyIfCommittedBelow));
    });

    [Fact]
    public void A_member_that_missed_the_last_word_is_told_that_its_chunk_is_sealed() => Sealed(servers: 3, async (m, chunk, servers) =>
    {
        await m.UntilAsync(() => servers.All(s => s.Commands.Any(c => c.ConfirmSeal is not null)));
        var confirm = servers[0].Commands.First(c => c.ConfirmSeal is not null);
        await servers[0].TellAsync(Good(chunk));
        await servers[0].TellResultAsync(confirm.CommandId, Status.Ok);
        int told = servers[0].About(chunk).Count();
        await m.PassAsync(TimeSpan.FromSeconds(30));

        Assert.Equal((chunk.Handle, 1UL, 4096u), (confirm.ConfirmSeal.Handle, confirm.ConfirmSeal.Version, confirm.ConfirmSeal.Length));
        Assert.Equal(told, servers[0].About(chunk).Count());
    });

    [Fact]
    public void A_former_member_with_the_same_bytes_is_told_that_they_are_sealed_and_counts_as_a_copy() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        foreach (var server in servers)
            server.OnCreate = _ => null;
        var former = servers.Single(s => !m.ChunkOf(chunk).Members.Contains(s.Id));
        var ballot = Ballot.OfVersion(1).NextAttempt().Value;
        await m.CallAsync<SealedReply>(MessageKind.Sealed, new SealedRequest
        {
            Handle = chunk.Handle,
            Version = 1,
            Sender = chunk.Primary.ServerId,
            Length = 4096,
            SealBallot = ballot,
        });
        foreach (var member in servers.Where(s => s != former))
            await member.TellAsync(Good(chunk));

        await former.TellAsync(new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value, Tail = 4096, EndsInSeal = true, SealBallot = ballot });
        await m.UntilAsync(() => former.About(chunk).Any());
        var confirm = former.About(chunk).Single().ConfirmSeal;
        await former.TellAsync(Good(chunk));

        Assert.Equal((4096u, ballot), (confirm.Length, confirm.SealBallot));
        Assert.Contains(former.Id, m.ChunkOf(chunk).Replicas);
    });

    [Fact]
    public void A_server_that_lost_its_replica_is_not_named_to_readers() => Sealed(servers: 3, async (m, chunk, servers) =>
    {
        servers[0].Die();
        var back = servers[0].StartAnew();
        await back.RegisterAsync();
        await back.ReportAllAsync();

        var found = (await m.LocateChunksAsync("/a")).Chunks[0];

        Assert.Equal(servers[1..].Select(s => s.Id).Order(), found.Members.Select(s => s.ServerId).Order());
    });

    [Fact]
    public void An_outdated_replica_stays_while_a_wanted_one_is_on_a_server_that_is_away() => Sealed(servers: 4, async (m, chunk, servers) =>
    {
        m.Options.RepairGrace = TimeSpan.FromMinutes(5);
        var holders = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var other = servers.Except(holders).Single();
        foreach (var holder in holders)
            await holder.TellAsync(Good(chunk));
        holders[0].Die();
        await m.PassAsync(m.Options.DeadAfter * 2);

        await other.TellAsync(new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value, Tail = 100 });
        await m.PassAsync(TimeSpan.FromSeconds(20));

        Assert.Empty(other.About(chunk));
    });

    [Fact]
    public void A_replica_that_knows_more_to_be_committed_than_the_chunk_has_is_kept_and_counted_also_by_the_next_master() => Sealed(servers: 4, async (m, chunk, servers) =>
    {
        var holders = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var other = servers.Except(holders).Single();
        var proof = new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value, Tail = 5000, Committed = 4500 };
        foreach (var holder in holders)
            await holder.TellAsync(Good(chunk));

        await other.TellAsync(proof);
        await m.PassAsync(TimeSpan.FromSeconds(20));
        ulong before = (await m.StatusAsync()).LossProven;
        holders[0].Die();       // now only the one with the proof could take a copy
        await m.PassAsync(TimeSpan.FromSeconds(20));
        await m.RestartAsync();
        ulong after = (await m.StatusAsync()).LossProven;
        await other.RegisterAsync();
        await other.ReportAllAsync(proof);
        await m.PassAsync(TimeSpan.FromSeconds(20));

        Assert.Empty(other.About(chunk));
        Assert.Equal((1UL, 1UL), (before, after));
    });

    [Fact]
    public void A_former_member_of_an_open_chunk_that_knows_more_than_all_its_members_is_kept_when_the_chunk_has_grown_past_it() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        var members = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var former = servers.Except(members).Single();
        foreach (var member in members)
            member.OnInspect = _ => new InspectChunkReply { Status = Status.Ok, Report = new ChunkReport { Handle = chunk.Handle, Tail = 3000 } };

        await former.TellAsync(new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value, Tail = 3500, Committed = 3100 });
        await m.UntilAsync(() => m.State.ProofsOfLoss.Count > 0);
        foreach (var server in servers)
            server.OnCreate = _ => null;
        await ChunkTests.SealAsync(m, chunk, 4096, 1);
        foreach (var member in members)
            await member.TellAsync(Good(chunk));
        await m.PassAsync(TimeSpan.FromSeconds(20));

        Assert.Empty(former.About(chunk));
        Assert.Equal(1UL, (await m.StatusAsync()).LossProven);
    });

    [Fact]
    public void A_former_member_that_knows_no_more_than_a_member_proves_nothing() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        var members = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var former = servers.Except(members).Single();
        int asked = 0;
        foreach (var member in members)
        {
            member.OnInspect = _ =>
            {
                asked++;
                return new InspectChunkReply { Status = Status.Ok, Report = new ChunkReport { Handle = chunk.Handle, Tail = member == members[2] ? 3100u : 64u } };
            };
        }

        await former.TellAsync(new ChunkReport { Handle = chunk.Handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value, Tail = 3500, Committed = 3100 });
        await m.UntilAsync(() => asked == 3);
        await m.PassAsync(TimeSpan.FromSeconds(40));

        Assert.Equal(3, asked);
        Assert.Empty(m.State.ProofsOfLoss);
    });

    [Fact]
    public void A_server_that_could_not_make_its_copy_is_not_asked_again_for_that_chunk_while_another_one_can() => Sealed(servers: 5, async (m, chunk, servers) =>
    {
        var holders = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var spares = servers.Except(holders).ToArray();
        foreach (var holder in holders)
            await holder.TellAsync(Good(chunk));

        holders[0].Die();
        await m.UntilAsync(() => spares.Any(s => s.About(chunk).Any()));
        var bad = spares.Single(s => s.About(chunk).Any());
        var good = spares.Single(s => s != bad);
        await bad.TellResultAsync(bad.About(chunk).Single().CommandId, Status.DiskFailed);
        await m.UntilAsync(() => good.About(chunk).Any());
        await good.TellAsync(Good(chunk));
        await good.TellResultAsync(good.About(chunk).Single().CommandId, Status.Ok);
        await m.PassAsync(TimeSpan.FromMinutes(1));

        Assert.Single(bad.About(chunk));
        Assert.Equal(0UL, (await m.StatusAsync()).UnderReplicated);
    });

    [Fact]
    public void The_only_server_that_is_left_is_asked_again_after_growing_pauses() => Sealed(servers: 4, async (m, chunk, servers) =>
    {
        var holders = servers.Where(s => m.ChunkOf(chunk).Members.Contains(s.Id)).ToArray();
        var spare = servers.Except(holders).Single();
        foreach (var holder in holders)
            await holder.TellAsync(Good(chunk));

        holders[0].Die();
        var at = new List<long>();
        for (int i = 0; i < 4; i++)
        {
            await m.UntilAsync(() => spare.About(chunk).Count() > i);
            at.Add(m.World.NowNs);
            await spare.TellResultAsync(spare.About(chunk).Last().CommandId, Status.DiskFailed);
        }

        double[] pauses = [.. at.Zip(at.Skip(1), (a, b) => (b - a) / 1e9)];
        Assert.InRange(pauses[0], 5, 8);
        Assert.InRange(pauses[1], 10, 13);
        Assert.InRange(pauses[2], 20, 23);
    });

    private static ChunkReport Good(ChunkLocation chunk) => new()
    {
        Handle = chunk.Handle,
        LastView = Ballot.OfVersion(1).Value,
        Promised = Ballot.OfVersion(1).Value,
        Tail = 4096,
        Committed = 4096,
        Sealed = true,
        EndsInSeal = true,
    };

    private static void Sealed(int servers, Func<MasterFixture, ChunkLocation, PlayedServer[], Task> script) => MasterFixture.Run(async m =>
    {
        var played = await m.JoinAsync(servers);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        foreach (var server in played)
            server.OnCreate = _ => null;        // no second chunk: it would be part of every count
        Assert.Equal(Status.Ok, (await ChunkTests.SealAsync(m, chunk, 4096, 1)).Status);
        await script(m, chunk, played);
    });
}
