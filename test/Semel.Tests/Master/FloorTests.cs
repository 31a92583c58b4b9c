using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

/// <summary>No configuration below <c>min_members</c> while a missing member may still come.</summary>
public sealed class FloorTests
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(40);

    [Fact]
    public void After_a_stop_of_everything_the_first_server_up_does_not_take_the_chunk_for_itself() => Run(async (m, chunk, primary, others) =>
    {
        var back = await AllAnewAsync(m, [primary, .. others]);

        await back[0].RegisterAsync();
        await back[0].ReportAllAsync(Report(chunk));
        await m.PassAsync(TimeSpan.FromSeconds(30));
        var refused = await m.LocateTailAsync("/a");
        ulong versionAlone = m.ChunkOf(chunk).Version;
        await back[1].RegisterAsync();
        long came = m.World.NowNs;
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);

        Assert.Equal((1UL, Status.Unavailable), (versionAlone, refused.Status));
        Assert.Contains($"{new ServerId(others[0].Id)} at {others[0].Address}", refused.Detail, StringComparison.Ordinal);
        Assert.Contains("waited for until 2", refused.Detail, StringComparison.Ordinal);
        Assert.Contains("semel chunk recover", refused.Detail, StringComparison.Ordinal);
        Assert.Equal(new[] { back[0].Id, back[1].Id }.Order(), m.ChunkOf(chunk).Members);
        Assert.InRange((m.World.NowNs - came) / 1_000_000, 0, 600);
    });

    [Fact]
    public void A_chunk_that_waits_for_its_members_reserves_one_version_and_no_more() => Run(async (m, chunk, primary, others) =>
    {
        var back = await AllAnewAsync(m, [primary, .. others]);

        await back[0].RegisterAsync();
        await back[0].ReportAllAsync(Report(chunk));
        await m.PassAsync(TimeSpan.FromSeconds(10));
        int asked = back[0].Promises.Count;
        await m.PassAsync(TimeSpan.FromSeconds(20));

        Assert.Equal(2UL, m.ChunkOf(chunk).Reserved);
        Assert.InRange(back[0].Promises.Count - asked, 0, 1);
    });

    [Fact]
    public void Members_that_were_silent_for_the_whole_grace_are_waited_for_no_longer() => Run(async (m, chunk, primary, others) =>
    {
        var back = await AllAnewAsync(m, [primary, .. others]);
        long started = m.World.NowNs;

        await back[0].RegisterAsync();
        await back[0].ReportAllAsync(Report(chunk));
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);
        await m.UntilAsync(() => back[0].Grants.Count > 0);

        Assert.InRange(TimeSpan.FromTicks((m.World.NowNs - started) / 100), Grace, Grace + TimeSpan.FromSeconds(6));
        Assert.Equal([back[0].Id], m.ChunkOf(chunk).Members);
        Assert.True(back[0].Grants[^1].Seal);
    });

    [Fact]
    public void The_grace_counts_from_the_last_sign_of_life_of_each_member() => Run(async (m, chunk, primary, others) =>
    {
        others[0].Die();
        await m.PassAsync(TimeSpan.FromSeconds(20));
        await m.UntilAsync(() => m.ChunkOf(chunk).Members.Length == 2);
        var secondary = others[1];
        secondary.Die();
        long died = m.World.NowNs;
        await m.UntilAsync(() => m.ChunkOf(chunk).Members.Length == 1);

        Assert.InRange(TimeSpan.FromTicks((m.World.NowNs - died) / 100), Grace - TimeSpan.FromSeconds(2), Grace + TimeSpan.FromSeconds(6));
    });

    [Fact]
    public void Members_that_have_definitely_lost_their_replicas_are_not_waited_for() => Run(async (m, chunk, primary, others) =>
    {
        var back = await AllAnewAsync(m, [primary, .. others]);
        back[1].OnPromise = _ => new PromiseReply { Status = Status.NotFound };
        back[2].OnPromise = PlayedServer.Promised(1, 0, damaged: true);
        long started = m.World.NowNs;

        foreach (var server in back)
            await server.RegisterAsync();
        await back[0].ReportAllAsync(Report(chunk));
        await back[1].ReportAllAsync();
        await back[2].ReportAllAsync(Report(chunk));
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);

        Assert.Equal([back[0].Id], m.ChunkOf(chunk).Members);
        Assert.True(m.World.NowNs - started < 5_000_000_000);
    });

    [Fact]
    public void A_server_that_has_not_reported_yet_may_still_open_the_replica_that_it_does_not_find() => Run(async (m, chunk, primary, others) =>
    {
        var back = await AllAnewAsync(m, [primary, .. others]);
        back[1].OnPromise = _ => new PromiseReply { Status = Status.NotFound };

        await back[0].RegisterAsync();
        await back[0].ReportAllAsync(Report(chunk));
        await back[1].RegisterAsync();
        await m.PassAsync(TimeSpan.FromSeconds(2));
        ulong before = m.ChunkOf(chunk).Version;
        back[1].OnPromise = PlayedServer.Promised(1, 0);
        await back[1].ReportAllAsync(Report(chunk));
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);

        Assert.Equal(1UL, before);
        Assert.Equal(new[] { back[0].Id, back[1].Id }.Order(), m.ChunkOf(chunk).Members);
    });

    [Fact]
    public void A_member_that_counts_as_dead_and_answers_all_the_same_is_one() => Run(async (m, chunk, primary, others) =>
    {
        others[0].StopBeating();
        others[1].Die();
        await m.PassAsync(m.Options.DeadAfter * 2);

        await m.LocateTailAsync("/a", suspect: chunk);

        Assert.Equal(new[] { primary.Id, others[0].Id }.Order(), m.ChunkOf(chunk).Members);
    });

    [Fact]
    public void A_member_that_is_alive_and_refuses_for_the_moment_is_waited_for() => Run(async (m, chunk, primary, others) =>
    {
        var back = await AllAnewAsync(m, [primary, .. others]);
        back[1].OnPromise = back[2].OnPromise = _ => new PromiseReply { Status = Status.DiskFailed, Detail = "the disk is full" };

        foreach (var server in back)
        {
            await server.RegisterAsync();
            await server.ReportAllAsync(Report(chunk));
        }
        await m.PassAsync(Grace - TimeSpan.FromSeconds(5));
        ulong before = m.ChunkOf(chunk).Version;
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);

        Assert.Equal(1UL, before);
        Assert.Equal([back[0].Id], m.ChunkOf(chunk).Members);
    });

    [Fact]
    public void A_member_that_is_accused_and_answers_the_master_is_taken_in_again_rather_than_that() => Run(async (m, chunk, primary, others) =>
    {
        others[0].Die();
        await m.UntilAsync(() => m.ChunkOf(chunk).Members.Length == 2);
        long began = m.World.NowNs;

        var configured = new List<(long At, ulong Version, int Members)>();
        while (m.ChunkOf(chunk).Members.Length == 2)
        {
            ulong version = m.ChunkOf(chunk).Version;
            configured.Add((m.World.NowNs, version, 2));
            Assert.Equal(primary.Id, m.ChunkOf(chunk).Primary);
            while (m.ChunkOf(chunk).Version == version)     // a primary says so until it is heard
            {
                await m.CallAsync<SuspectReply>(MessageKind.Suspect, new SuspectRequest { Handle = chunk.Handle, Version = version, Sender = primary.Id, Member = others[1].Id, Reason = "it owed a vote" });
                await m.PassAsync(TimeSpan.FromMilliseconds(400));
            }
        }

        Assert.Equal([primary.Id], m.ChunkOf(chunk).Members);
        Assert.InRange(TimeSpan.FromTicks((m.World.NowNs - began) / 100), Grace - TimeSpan.FromSeconds(1), Grace + TimeSpan.FromSeconds(5));
        Assert.InRange(configured.Count, 10, 60);       // with growing pauses
    });

    private static ChunkReport Report(ChunkLocation chunk) => new() { Handle = chunk.Handle, Promised = Ballot.OfVersion(1).Value, LastView = Ballot.OfVersion(1).Value };

    /// <summary>Everything stops, and the master starts again. The chunk servers are up, and have not registered.</summary>
    private static async Task<PlayedServer[]> AllAnewAsync(MasterFixture m, PlayedServer[] servers)
    {
        foreach (var server in servers)
            server.Die();
        await m.RestartAsync();
        // Only who was started again answers.
        var back = new PlayedServer[servers.Length];
        for (int i = 0; i < servers.Length; i++)
            back[i] = servers[i].StartAnew();
        foreach (var silent in back[1..])
            silent.OnPromise = new SilentUntilUp(silent, silent.OnPromise).Answer;
        return back;
    }

    private sealed class SilentUntilUp(PlayedServer server, Func<PromiseRequest, PromiseReply?> then)
    {
        public PromiseReply? Answer(PromiseRequest request) => server.IsUp ? then(request) : null;
    }

    private static void Run(Func<MasterFixture, ChunkLocation, PlayedServer, PlayedServer[], Task> script) => MasterFixture.Run(async m =>
    {
        m.Options.MemberGrace = Grace;
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        await m.PassAsync(TimeSpan.FromSeconds(1));
        var primary = servers.Single(s => s.Id == chunk.Primary.ServerId);
        await script(m, chunk, primary, [.. servers.Where(s => s != primary)]);
    });
}
