using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

/// <summary>The open chunk of a file that nobody writes: its members go away, and nobody notices but the master.</summary>
public sealed class OpenChunkRepairTests
{
    private static readonly TimeSpan LongAgo = TimeSpan.FromMinutes(2);     // a file that nobody asked about for a minute is not in use

    [Fact]
    public void Lacks_a_replica_from_the_first_moment_and_is_ended_when_another_server_can_take_a_copy() => Run(servers: 4, async (m, chunk, members, spares) =>
    {
        var secondary = members.First(s => s.Id != chunk.Primary.ServerId);
        secondary.Die();
        long died = m.World.NowNs;
        await m.PassAsync(m.Options.DeadAfter + TimeSpan.FromSeconds(1));
        ulong counted = (await m.StatusAsync()).UnderReplicated;
        ulong version = m.ChunkOf(chunk).Version;
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);
        await m.PassAsync(TimeSpan.FromSeconds(1));

        Assert.Equal((1UL, 1UL), (counted, version));
        Assert.InRange(TimeSpan.FromTicks((m.World.NowNs - died) / 100), m.Options.DeadAfter + m.Options.RepairGrace, m.Options.DeadAfter + m.Options.RepairGrace + TimeSpan.FromSeconds(3));
        Assert.Equal(members.Where(s => s != secondary).Select(s => s.Id).Order(), m.ChunkOf(chunk).Members);
        Assert.True(members.Single(s => s.Id == m.ChunkOf(chunk).Primary).Grants[^1].Seal);
    });

    [Fact]
    public void Keeps_its_members_and_is_counted_where_no_other_server_can_take_a_copy() => Run(servers: 3, async (m, chunk, members, spares) =>
    {
        members.First(s => s.Id != chunk.Primary.ServerId).Die();
        await m.PassAsync(TimeSpan.FromMinutes(1));

        Assert.Equal(1UL, m.ChunkOf(chunk).Reserved);
        Assert.Equal(1UL, (await m.StatusAsync()).UnderReplicated);

        await m.JoinAsync("spare");
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);
    });

    [Fact]
    public void Does_not_wait_for_a_server_that_never_registers_again_after_a_restart_of_the_master() => Run(servers: 4, async (m, chunk, members, spares) =>
    {
        var gone = members.First(s => s.Id != chunk.Primary.ServerId);
        gone.Die();
        foreach (var server in members.Concat(spares))
            server.StopBeating();

        await m.RestartAsync();
        foreach (var server in members.Concat(spares).Where(s => s != gone))
        {
            await server.RegisterAsync();
            await server.ReportAllAsync(spares.Contains(server) ? [] : [new ChunkReport
            {
                Handle = chunk.Handle,
                Promised = Ballot.OfVersion(1).Value,
                LastView = Ballot.OfVersion(1).Value,
                Primary = server.Id == chunk.Primary.ServerId,
            }]);
        }
        ulong counted = (await m.StatusAsync()).UnderReplicated;
        await m.UntilAsync(() => m.ChunkOf(chunk).Version > 1);

        Assert.Equal(1UL, counted);
        Assert.DoesNotContain(gone.Id, m.ChunkOf(chunk).Members);
    });

    [Fact]
    public void A_server_with_many_idle_chunks_that_comes_back_within_the_grace_changes_nothing() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        var chunks = await FilesAsync(m, 100);
        await m.PassAsync(LongAgo);
        var victim = servers[0];

        victim.Die();
        await m.PassAsync(m.Options.DeadAfter + TimeSpan.FromSeconds(2));
        var back = victim.StartAnew();
        await back.RegisterAsync();
        await back.ReportAllAsync([.. chunks.Where(c => c.Members.Any(s => s.ServerId == victim.Id)).Select(c => new ChunkReport { Handle = c.Handle, LastView = Ballot.OfVersion(1).Value })]);
        await m.PassAsync(TimeSpan.FromSeconds(30));

        Assert.All(chunks.Where(c => c.Primary.ServerId != victim.Id), c => Assert.Equal(1UL, m.ChunkOf(c).Reserved));
        Assert.Equal(0UL, (await m.StatusAsync()).UnderReplicated);
    });

    [Fact]
    public void Those_with_the_fewest_living_members_go_first_and_no_more_at_a_time_than_may() => MasterFixture.Run(async m =>
    {
        m.Options.MemberGrace = TimeSpan.Zero;
        m.Options.ParallelViewChanges = 3;
        await m.RestartAsync();
        var servers = await m.JoinAsync(6);
        var chunks = await FilesAsync(m, 60);
        await m.PassAsync(LongAgo);
        PlayedServer[] victims = [servers[0], servers[1]];
        var order = new List<ulong>();
        int running = 0, most = 0;
        foreach (var server in servers[2..])
        {
            var agrees = server.OnPromise;
            server.OnPromise = r =>
            {
                if (!order.Contains(r.Handle))
                {
                    order.Add(r.Handle);
                    most = Math.Max(most, ++running);
                }
                return agrees(r);
            };
            server.OnGrant = r =>
            {
                running--;
                return new GrantReply { Status = Status.Ok };
            };
        }

        m.Options.RepairGrace = TimeSpan.FromHours(1);
        foreach (var victim in victims)
            victim.Die();
        await m.PassAsync(m.Options.DeadAfter * 2);
        m.Options.RepairGrace = TimeSpan.Zero;
        int Lacking(ChunkLocation c) => c.Members.Count(s => victims.Any(v => v.Id == s.ServerId));
        await m.UntilAsync(() => chunks.All(c => Lacking(c) == 0 || m.ChunkOf(c).Members.Length == 3 - Lacking(c)));

        var worst = chunks.Where(c => Lacking(c) == 2).Select(c => c.Handle).ToHashSet();
        Assert.NotEmpty(worst);
        Assert.Subset(order.Take(worst.Count + 2).ToHashSet(), worst);      // the last ones run beside the first of the others
        Assert.InRange(most, 1, 3);
    });

    private static async Task<List<ChunkLocation>> FilesAsync(MasterFixture m, int count)
    {
        var chunks = new List<ChunkLocation>();
        for (int i = 0; i < count; i++)
        {
            await m.CreateAsync($"/{i}");
            chunks.Add((await m.LocateTailAsync($"/{i}")).Chunk);
        }
        return chunks;
    }

    private static void Run(int servers, Func<MasterFixture, ChunkLocation, PlayedServer[], PlayedServer[], Task> script) => MasterFixture.Run(async m =>
    {
        var played = await m.JoinAsync(servers);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        await m.PassAsync(LongAgo);
        var members = played.Where(s => chunk.Members.Any(member => member.ServerId == s.Id)).ToArray();
        await script(m, chunk, members, [.. played.Except(members)]);
    });
}
