using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class ViewChangeTests
{
    [Fact]
    public void A_complaint_about_the_current_version_replaces_the_primary() => Run(async (m, chunk, primary, others) =>
    {
        var next = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        Assert.Equal(2UL, next.Version);
        Assert.NotEqual(primary.Id, next.Primary.ServerId);
        Assert.Equal(3, next.Members.Count);
        Assert.All(others.Append(primary), s => Assert.Equal(2UL, Assert.Single(s.Promises).Version));
        var granted = others.Single(s => s.Id == next.Primary.ServerId).Grants.Last();
        Assert.Equal((2UL, 3, false), (granted.Version, granted.Members.Count, granted.Seal));
    });

    [Fact]
    public void A_complaint_about_an_older_version_gets_the_new_location_and_changes_nothing() => Run(async (m, chunk, primary, others) =>
    {
        await m.LocateTailAsync("/a", suspect: chunk);

        var again = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        Assert.Equal(2UL, again.Version);
        Assert.Equal(2UL, m.ChunkOf(chunk).Reserved);
    });

    [Fact]
    public void Complaints_at_the_same_time_share_one_view_change() => Run(async (m, chunk, primary, others) =>
    {
        var all = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => m.LocateTailAsync("/a", suspect: chunk)));

        Assert.All(all, r => Assert.Equal(2UL, r.Chunk.Version));
        Assert.Equal(2UL, m.ChunkOf(chunk).Reserved);
    });

    [Fact]
    public void A_complaint_right_after_a_grant_is_too_early() => Run(async (m, chunk, primary, others) =>
    {
        var second = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        var early = (await m.LocateTailAsync("/a", suspect: second)).Chunk;
        await m.PassAsync(TimeSpan.FromSeconds(1));
        var later = (await m.LocateTailAsync("/a", suspect: second)).Chunk;

        Assert.Equal([2UL, 3UL], [early.Version, later.Version]);
    });

    [Fact]
    public void A_dead_member_is_waited_for_no_longer_than_the_others_give_it() => Run(async (m, chunk, primary, others) =>
    {
        others[0].OnPromise = PlayedServer.NoAnswer;
        long began = m.World.NowNs;

        var next = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        Assert.InRange((m.World.NowNs - began) / 1_000_000, 400, 600);
        Assert.Equal(new[] { primary.Id, others[1].Id }.Order(), next.Members.Select(s => s.ServerId).Order());
    });

    [Fact]
    public void An_unreachable_primary_costs_no_wait() => Run(async (m, chunk, primary, others) =>
    {
        primary.Die();
        long began = m.World.NowNs;

        var next = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        Assert.True(m.World.NowNs - began < 100_000_000);
        Assert.Equal(others.Select(s => s.Id).Order(), next.Members.Select(s => s.ServerId).Order());
    });

    [Fact]
    public void A_member_that_the_primary_accuses_is_left_out() => Run(async (m, chunk, primary, others) =>
    {
        var reply = await SuspectAsync(m, chunk, primary, others[0]);
        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);
        var stale = await SuspectAsync(m, chunk, primary, others[1]);

        Assert.Equal([Status.Ok, Status.Stale], [reply.Status, stale.Status]);
        Assert.Equal(new[] { primary.Id, others[1].Id }.Order(), m.ChunkOf(chunk).Members);
        Assert.Equal(primary.Id, m.ChunkOf(chunk).Primary);
    });

    [Fact]
    public void A_short_configuration_is_sealed_when_a_spare_server_is_there() => Run(async (m, chunk, primary, others) =>
    {
        await m.JoinAsync("spare");

        await SuspectAsync(m, chunk, primary, others[0]);
        await m.UntilAsync(() => primary.Grants.Count == 2);

        Assert.True(primary.Grants[1].Seal);
    });

    [Fact]
    public void A_single_survivor_may_only_seal() => Run(async (m, chunk, primary, others) =>
    {
        m.Options.MemberGrace = TimeSpan.Zero;
        primary.Die();
        others[0].OnPromise = PlayedServer.NoAnswer;

        await m.LocateTailAsync("/a", suspect: chunk);

        var grant = Assert.Single(others[1].Grants);
        Assert.Equal((1, 2u, true), (grant.Members.Count, grant.MinMembers, grant.Seal));
    });

    [Fact]
    public void When_no_member_can_go_on_the_chunk_waits_until_one_comes_back() => Run(async (m, chunk, primary, others) =>
    {
        primary.Die();
        foreach (var other in others)
            other.OnPromise = PlayedServer.Promised(1, 100, suspect: true);

        var refused = await m.LocateTailAsync("/a", suspect: chunk);
        ulong reserved = m.ChunkOf(chunk).Reserved;
        var back = primary.StartAnew();
        back.OnPromise = PlayedServer.Promised(1, 100);
        await back.RegisterAsync();
        await m.UntilAsync(() => back.Grants.Count > 0);

        Assert.Equal(Status.Unavailable, refused.Status);
        Assert.Contains("may have forgotten", refused.Detail);
        Assert.Equal(2UL, reserved);
        Assert.Equal([back.Id], m.ChunkOf(chunk).Members);
    });

    [Fact]
    public void A_primary_that_does_not_take_over_is_followed_by_another() => Run(async (m, chunk, primary, others) =>
    {
        foreach (var other in others)
            other.OnGrant = _ => new GrantReply { Status = Status.Stale };
        others[0].OnPromise = PlayedServer.Promised(1, 500);

        var next = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        Assert.True(next.Version >= 3);
        Assert.Equal(primary.Id, next.Primary.ServerId);
    });

    [Fact]
    public void A_member_that_promised_more_to_an_earlier_master_gets_a_higher_version() => Run(async (m, chunk, primary, others) =>
    {
        others[0].OnPromise = r => r.Version > 7
            ? PlayedServer.Promised(1, 0)(r)
            : new PromiseReply { Status = Status.Stale, Promised = Ballot.OfVersion(7).Value };

        var next = (await m.LocateTailAsync("/a", suspect: chunk)).Chunk;

        Assert.Equal((8UL, 3), (next.Version, next.Members.Count));
    });

    [Fact]
    public void A_server_that_was_started_anew_is_primary_of_nothing() => Run(async (m, chunk, primary, others) =>
    {
        primary.Die();
        var back = primary.StartAnew();

        await back.RegisterAsync();
        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);

        Assert.Equal(3, m.ChunkOf(chunk).Members.Length);
    });

    [Fact]
    public void A_primary_outlives_a_restart_of_the_master() => Run(async (m, chunk, primary, others) =>
    {
        var report = new ChunkReport { Handle = chunk.Handle, Promised = Ballot.OfVersion(1).Value, LastView = Ballot.OfVersion(1).Value };
        foreach (var server in others.Append(primary))
            server.StopBeating();

        await m.RestartAsync();
        foreach (var server in others.Append(primary))
        {
            var own = report.Clone();
            own.Primary = server == primary;
            await server.RegisterAsync();
            await server.ReportAllAsync(own);
        }
        await m.PassAsync(TimeSpan.FromSeconds(2));

        Assert.Equal(1UL, m.ChunkOf(chunk).Reserved);
        Assert.Equal(1UL, (await m.LocateTailAsync("/a")).Chunk.Version);
        Assert.False((await m.StatusAsync()).Recovering);
    });

    [Fact]
    public void After_a_start_of_everything_a_view_change_waits_a_moment_for_all_members() => Run(async (m, chunk, primary, others) =>
    {
        foreach (var server in others.Append(primary))
            server.Die();
        var back = others.Append(primary).Select(server => server.StartAnew()).ToArray();
        await m.RestartAsync();

        await back[2].RegisterAsync();      // the primary
        await back[0].RegisterAsync();
        await back[2].ReportAllAsync(StartedAnew(chunk));
        await back[0].ReportAllAsync(StartedAnew(chunk));
        await m.UntilAsync(() => m.IsConfirmed);
        await m.PassAsync(TimeSpan.FromMilliseconds(200));
        Assert.Equal(1UL, m.ChunkOf(chunk).Version);
        await back[1].RegisterAsync();
        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);

        Assert.Equal(3, m.ChunkOf(chunk).Members.Length);
    });

    [Fact]
    public void After_a_start_of_everything_a_member_that_stays_away_is_not_waited_for() => Run(async (m, chunk, primary, others) =>
    {
        foreach (var server in others.Append(primary))
            server.Die();
        PlayedServer[] back = [primary.StartAnew(), others[0].StartAnew()];
        await m.RestartAsync();
        long began = m.World.NowNs;

        foreach (var server in back)
        {
            await server.RegisterAsync();
            await server.ReportAllAsync(StartedAnew(chunk));
        }
        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);

        Assert.Equal(2, m.ChunkOf(chunk).Members.Length);
        Assert.InRange(TimeSpan.FromTicks((m.World.NowNs - began) / 100), TimeSpan.Zero, m.Options.DeadAfter);
    });

    [Fact]
    public void A_primary_that_forgot_that_it_is_one_is_replaced_once_its_report_is_complete() => Run(async (m, chunk, primary, others) =>
    {
        var report = new ChunkReport { Handle = chunk.Handle, Promised = Ballot.OfVersion(1).Value, LastView = Ballot.OfVersion(1).Value };

        await m.RestartAsync();
        await primary.RegisterAsync();
        await primary.BeatAsync(complete: false, reports: report);
        Assert.Equal(1UL, m.ChunkOf(chunk).Reserved);
        await primary.BeatAsync(complete: true);
        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);
    });

    [Fact]
    public void A_dead_secondary_is_left_out_of_a_chunk_in_use() => Run(async (m, chunk, primary, others) =>
    {
        others[0].Die();

        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);

        Assert.DoesNotContain(others[0].Id, m.ChunkOf(chunk).Members);
        Assert.False((await m.StatusAsync()).Servers.Single(s => s.Server.ServerId == others[0].Id).Alive);
    });

    [Fact]
    public void A_chunk_that_lacks_a_member_ends_when_a_server_comes_back() => Run(async (m, chunk, primary, others) =>
    {
        others[0].Die();
        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);
        var back = others[0].StartAnew();

        await back.RegisterAsync();
        await back.ReportAllAsync();
        await m.UntilAsync(() => primary.SealCalls.Count > 0);

        Assert.Equal((chunk.Handle, 2UL), (primary.SealCalls[0].Handle, primary.SealCalls[0].Version));
    });

    [Fact]
    public void A_seal_that_its_primary_could_not_report_is_reported_by_its_successor() => Run(async (m, chunk, primary, others) =>
    {
        await others[0].TellAsync(new ChunkReport { Handle = chunk.Handle, Promised = Ballot.OfVersion(1).Value, LastView = Ballot.OfVersion(1).Value, Tail = 500, Committed = 500, Sealed = true, EndsInSeal = true });

        await m.UntilAsync(() => m.ChunkOf(chunk).Version == 2);
    });

    private static void Run(Func<MasterFixture, ChunkLocation, PlayedServer, PlayedServer[], Task> script) => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        await m.PassAsync(TimeSpan.FromSeconds(1));     // complaints right after a grant do not count
        var primary = servers.Single(s => s.Id == chunk.Primary.ServerId);
        await script(m, chunk, primary, [.. servers.Where(s => s != primary)]);
    });

    /// <summary>What a member of the chunk's first view says of it after its start.</summary>
    private static ChunkReport StartedAnew(ChunkLocation chunk) =>
        new() { Handle = chunk.Handle, Promised = Ballot.OfVersion(1).Value, LastView = Ballot.OfVersion(1).Value };

    private static Task<SuspectReply> SuspectAsync(MasterFixture m, ChunkLocation chunk, PlayedServer primary, PlayedServer member) =>
        m.CallAsync<SuspectReply>(MessageKind.Suspect, new SuspectRequest
        {
            Handle = chunk.Handle,
            Version = chunk.Version,
            Sender = primary.Id,
            Member = member.Id,
            Reason = "it owed a vote",
        });
}
