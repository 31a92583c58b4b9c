using Semel.Master.Identity;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

/// <summary>A master that is an older copy of itself, that lost the end of its log, or that is not alone, gives nothing away.</summary>
public sealed class StandingTests
{
    private static readonly (ulong, ulong, ulong) Future = (99, 4711, 100_000);

    [Fact]
    public void Ids_are_never_given_twice_also_when_the_entries_that_gave_them_are_lost() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        ulong file = (await m.CreateAsync("/a")).FileId;
        ulong writer = (await m.RegisterWriterAsync("/a", "w")).Writer;
        ulong handle = (await m.LocateTailAsync("/a")).Chunk.Handle;

        await m.RestartAsync();
        foreach (var server in servers)
        {
            await server.RegisterAsync();
            await server.ReportAllAsync(new ChunkReport { Handle = handle, LastView = Ballot.OfVersion(1).Value, Promised = Ballot.OfVersion(1).Value });
        }
        ulong second = (await m.CreateAsync("/b")).FileId;

        Assert.Equal((1ul, 1ul, 1ul), (IdRange.EpochOf(file), IdRange.EpochOf(writer), IdRange.EpochOf(handle)));
        Assert.Equal(IdRange.FirstOf(2), second);
        Assert.Equal(IdRange.FirstOf(2), (await m.RegisterWriterAsync("/b", "w")).Writer);
        Assert.Equal(IdRange.FirstOf(2), (await m.LocateTailAsync("/b")).Chunk.Handle);
    });

    [Fact]
    public void A_master_waits_with_what_it_says_of_files_until_its_servers_have_confirmed_it() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        await m.RestartAsync();

        var create = m.CreateAsync("/b");
        var stat = m.StatAsync("/a");
        await m.PassAsync(TimeSpan.FromSeconds(1));
        Assert.False(create.IsCompleted || stat.IsCompleted);
        Assert.Contains("0 of 3", (await m.StatusAsync()).Withholds, StringComparison.Ordinal);
        foreach (var server in servers.Take(2))
        {
            await server.RegisterAsync();
            await server.ReportAllAsync();
        }

        Assert.Equal(Status.Ok, (await stat).Status);
        Assert.Equal(Status.Ok, (await create).Status);
        Assert.Equal("", (await m.StatusAsync()).Withholds);
    });

    [Fact]
    public void Servers_are_asked_to_accept_a_master_when_most_have_reported_and_it_is_confirmed_when_most_have_accepted_it() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.RestartAsync();
        servers[1].Accepts = false;

        await servers[0].RegisterAsync();
        await servers[0].ReportAllAsync();
        Assert.False((await servers[0].BeatAsync()).Elected);
        await servers[1].RegisterAsync();
        Assert.False((await servers[0].BeatAsync()).Elected);       // it has not said yet what it has
        await servers[1].ReportAllAsync();
        Assert.True((await servers[0].BeatAsync()).Elected);

        await m.PassAsync(TimeSpan.FromSeconds(1));
        Assert.True(servers[0].Serves);
        Assert.False(m.IsConfirmed);
        servers[1].Accepts = true;
        await m.PassAsync(TimeSpan.FromSeconds(1));
        Assert.True(m.IsConfirmed);
    });

    [Fact]
    public void A_master_that_was_refuted_before_it_was_elected_is_accepted_by_nobody() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.RestartAsync();
        await servers[0].RegisterAsync();
        await servers[0].ReportAllAsync();
        servers[1].Known = Future;

        Assert.Equal(Status.Conflict, (await servers[1].RegisterAsync()).Status);
        await m.PassAsync(TimeSpan.FromSeconds(10));

        Assert.False(servers[0].Serves);
        Assert.Equal(1ul, servers[0].Known.Epoch);
    });

    [Fact]
    public void A_log_that_names_no_server_may_be_old_and_the_first_server_that_comes_is_asked() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/first");      // nobody can hold anything against the first master of a cluster
        await m.RestartAsync();

        var created = m.CreateAsync("/second");
        await m.PassAsync(TimeSpan.FromSeconds(1));
        Assert.False(created.IsCompleted);
        Assert.Contains("none has registered", (await m.StatusAsync()).Withholds, StringComparison.Ordinal);
        await m.JoinAsync("fresh");

        Assert.Equal(Status.Ok, (await created).Status);
    });

    [Fact]
    public void One_server_that_is_left_is_enough_when_the_others_are_silent() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        servers[1].Die();
        servers[2].Die();
        await m.RestartAsync();

        await servers[0].RegisterAsync();
        await servers[0].ReportAllAsync();
        long began = m.World.NowNs;
        var created = await m.CreateAsync("/b");

        Assert.Equal(Status.Ok, created.Status);
        Assert.InRange(m.World.NowNs - began, 0, 5_000_000_000);
    });

    [Fact]
    public void A_server_that_hears_from_another_master_keeps_this_one_from_going_on_with_fewer_than_most() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        foreach (var server in servers)
            server.StopBeating();
        await m.RestartAsync();
        servers[1].HeardMs = servers[2].HeardMs = 300;

        await servers[0].RegisterAsync();
        await servers[0].ReportAllAsync();
        await m.PassAsync(TimeSpan.FromSeconds(10));
        var refused = await m.CreateAsync("/b");

        Assert.Equal(Status.Unavailable, refused.Status);
        Assert.Contains("another:7070", refused.Detail, StringComparison.Ordinal);

        servers[1].HeardMs = servers[2].HeardMs = 60_000;
        await m.UntilAsync(() => m.IsConfirmed);
        Assert.Equal(Status.Ok, (await m.CreateAsync("/b")).Status);
    });

    [Theory]
    [InlineData(99, 4711, 100_000)]     // an epoch that the log never began
    [InlineData(1, 4711, 0)]            // another master began the same epoch
    [InlineData(1, 0, 100_000)]         // the log lost entries at its end
    public void What_a_server_has_seen_and_the_log_lacks_ends_all_giving(ulong epoch, ulong nonce, ulong position) => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        await m.PassAsync(TimeSpan.FromSeconds(1));     // complaints right after a grant do not count
        var witness = new PlayedServer(m, "witness") { Id = 77, ClusterId = m.Node.ClusterId, Known = (epoch, nonce, position) };

        var refused = await witness.RegisterAsync();

        Assert.Equal(Status.Conflict, refused.Status);
        Assert.Contains("accept_lost_entries", refused.Detail, StringComparison.Ordinal);
        Assert.Equal(refused.Detail, (await m.StatusAsync()).Withholds);
        Assert.Equal((Status.Unavailable, refused.Detail), ((await m.CreateAsync("/b")).Status, (await m.CreateAsync("/b")).Detail));
        Assert.Equal(Status.Unavailable, (await m.RegisterWriterAsync("/a", "w")).Status);
        Assert.Equal(Status.Unavailable, (await m.DeleteAsync("/a")).Status);
        Assert.Equal(Status.Unavailable, (await m.LocateTailAsync("/a", suspect: chunk)).Status);
        Assert.Equal(Status.Unavailable, (await new PlayedServer(m, "fresh").RegisterAsync()).Status);
        Assert.Equal(Status.Unavailable, (await m.StatAsync("/never")).Status);       // not: there is no such file
        Assert.Equal(Status.Unavailable, (await m.LocateChunksAsync("/a")).Status);   // not: these are all its chunks
        int leases = servers.Sum(s => s.Leases.Count);
        await m.PassAsync(TimeSpan.FromSeconds(5));
        Assert.Equal(leases, servers.Sum(s => s.Leases.Count));
        Assert.Equal(1, servers.Sum(s => s.Grants.Count));
    });

    [Fact]
    public void No_server_takes_an_old_master_for_the_right_one_while_another_could_have_said_so() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        foreach (var server in servers)
            server.StopBeating();
        await m.RestartAsync();
        servers[2].Known = Future;

        var first = await servers[0].RegisterAsync();

        Assert.Equal(Status.Unavailable, first.Status);
        Assert.NotEqual(Status.Ok, (await m.CreateAsync("/b")).Status);
    });

    [Fact]
    public void A_silent_server_is_asked_and_what_it_has_seen_meanwhile_counts() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        servers[0].StopBeating();
        servers[0].Known = Future;

        await m.UntilAsync(() => m.Refutation is not null);

        Assert.Contains("epoch 99", m.Refutation!, StringComparison.Ordinal);
    });

    [Fact]
    public void The_operator_lets_an_older_log_go_on_in_an_epoch_above_all_that_were_seen() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        foreach (var server in servers)
            server.StopBeating();
        servers[0].Known = Future;
        m.Options.AcceptLostEntries = true;
        await m.RestartAsync();

        foreach (var server in servers)
        {
            var reply = await server.RegisterAsync();
            Assert.Equal((Status.Ok, 100ul, true), (reply.Status, reply.MasterEpoch, reply.AcceptsLoss));
            await server.ReportAllAsync();
        }
        var created = await m.CreateAsync("/b");
        m.Options.AcceptLostEntries = false;
        await m.RestartAsync();
        servers[0].Known = Future;
        var late = await servers[0].RegisterAsync();

        Assert.Equal((Status.Ok, 100ul), (created.Status, IdRange.EpochOf(created.FileId)));
        Assert.Equal((Status.Ok, 101ul, false), (late.Status, late.MasterEpoch, late.AcceptsLoss));
    });

    [Fact]
    public void A_replica_that_was_in_use_and_that_the_log_never_had_is_kept_and_ends_all_giving() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");

        await servers[0].TellAsync(new ChunkReport { Handle = IdRange.FirstOf(1) + 20, LastView = Ballot.OfVersion(1).Value, Tail = 640 });

        Assert.NotNull(m.Refutation);
        Assert.Empty(servers[0].Commands);
    });

    [Fact]
    public void A_replica_that_was_never_used_is_left_over_from_a_making_that_failed() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        await m.LocateTailAsync("/a");
        await m.RestartAsync();
        foreach (var server in servers)
            await server.RegisterAsync();

        await servers[0].ReportAllAsync(new ChunkReport { Handle = IdRange.FirstOf(1) + 20 });
        await servers[1].ReportAllAsync();
        await m.UntilAsync(() => m.IsConfirmed);
        await servers[0].BeatAsync();

        Assert.Null(m.Refutation);
        Assert.Contains(servers[0].Commands, c => c.DeleteChunk?.Handle == IdRange.FirstOf(1) + 20);
    });

    [Fact]
    public void Something_else_under_a_new_handle_is_kept_and_the_chunk_is_made_under_another() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        foreach (var server in servers)
            server.OnCreate = r => new CreateChunkReply { Status = server == servers[0] && r.Handle == IdRange.FirstOf(1) ? Status.Conflict : Status.Ok };

        var tail = await m.LocateTailAsync("/a");

        Assert.Equal((Status.Ok, IdRange.FirstOf(1) + 1), (tail.Status, tail.Chunk.Handle));
        await m.PassAsync(TimeSpan.FromSeconds(3));
        Assert.DoesNotContain(servers[0].Commands, c => c.DeleteChunk?.Handle == IdRange.FirstOf(1));
        Assert.Contains(servers[1].Commands, c => c.DeleteChunk?.Handle == IdRange.FirstOf(1));
        Assert.Equal(2, servers[1].Creates.Select(c => c.CreationId).Distinct().Count());
        Assert.All(servers.SelectMany(s => s.Grants), g => Assert.Equal(servers[1].Creates[^1].CreationId, g.CreationId));
    });
}
