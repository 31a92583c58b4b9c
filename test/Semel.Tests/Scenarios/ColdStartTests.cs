using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;

namespace Semel.Tests.Scenarios;

/// <summary>What a start of servers may conclude, and what idleness may cost: nothing that was acknowledged.</summary>
public sealed class ColdStartTests
{
    private static readonly ClusterShape FourServers = new() { ChunkServers = 4, ChunkCapacity = 64 << 10 };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void After_a_stop_of_everything_the_disk_of_the_first_server_up_may_die(ulong seed) => Scenario.Play(async s =>
    {
        var before = s.NewClient();
        await before.Create("/log");
        var writer = await before.OpenWriter("/log");
        for (int i = 0; i < 80; i++)
            await writer.Append($"{i}");
        before.Process.Kill();
        foreach (var server in s.Cluster.ChunkServers)
            await server.StopAsync();
        await s.Cluster.Master.StopAsync();

        s.Cluster.Master.Start();
        s.Cluster.ChunkServers[0].Start();
        await s.Delay(15_000);
        s.Cluster.ChunkServers[0].Kill();       // and nobody sees its disk again
        s.Cluster.ChunkServers[1].Start();
        s.Cluster.ChunkServers[2].Start();
        var after = s.NewClient("after");
        writer = await after.OpenWriter("/log");
        await writer.Append("80");

        Assert.Equal(Enumerable.Range(0, 81).Select(i => $"{i}"), await s.Records("/log"));
    }, seed: seed);

    [Fact]
    public void What_was_acknowledged_can_be_read_while_a_chunk_waits_for_its_members() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        for (int i = 0; i < 80; i++)
            await writer.Append($"{i}");
        await s.Delay(1000);
        var primary = await s.PrimaryOf("/log");

        foreach (var server in s.Cluster.ChunkServers.Where(server => server != primary))
            server.Kill();
        await s.Delay(1000);
        var records = await s.Records("/log");

        Assert.Equal(Enumerable.Range(0, 80).Select(i => $"{i}"), records);
        Assert.True((await app.Do(client => client.GetClusterStatusAsync())).Unavailable > 0, "the chunk went on with one member");
    }, new ClusterShape { ChunkCapacity = 64 << 10, MemberGrace = TimeSpan.FromMinutes(2) });

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_member_that_comes_when_the_others_have_gone_on_is_no_reason_to_lose_anything(ulong seed) => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        foreach (var server in s.Cluster.ChunkServers)
            await server.StopAsync();
        await s.Cluster.Master.StopAsync();

        s.Cluster.Master.Start();
        // Each has been up alone, and two of them together.
        foreach (var server in s.Cluster.ChunkServers)
        {
            server.Start();
            await s.Delay(3000);
            server.Kill();
            await s.Delay(1000);
        }
        s.Cluster.ChunkServers[1].Start();
        s.Cluster.ChunkServers[2].Start();
        await writer.Append("1");
        s.Cluster.ChunkServers[0].Start();
        await writer.Append("2");

        Assert.Equal(["0", "1", "2"], await s.Records("/log"));
    }, seed: seed);

    [Fact]
    public void Files_that_nobody_writes_outlive_the_death_of_all_their_servers_one_after_the_other_when_one_more_is_there() => Scenario.Play(async s =>
    {
        var (spare, members) = (s.Cluster.ChunkServers[3], s.Cluster.ChunkServers.Take(3).ToList());
        spare.Kill();
        await s.Delay(2000);
        var app = s.NewClient();
        for (int file = 0; file < 6; file++)
        {
            await app.Create($"/{file}");
            var writer = await app.OpenWriter($"/{file}");
            for (int i = 0; i < 100; i++)
                await writer.Append($"{i}");
            await writer.Close();
        }
        app.Process.Kill();
        spare.Start();
        await s.Delay(75_000);

        foreach (var (server, pause) in members.Zip([40_000, 60_000, 50_000]))
        {
            server.Kill();      // with its disk
            await s.Delay(pause);
        }

        for (int file = 0; file < 6; file++)
            Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), await s.Records($"/{file}"));
    }, FourServers);

    [Fact]
    public void That_holds_for_a_server_too_that_is_gone_when_the_master_starts() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        for (int i = 0; i < 100; i++)
            await writer.Append($"{i}");
        await writer.Close();
        app.Process.Kill();
        var members = (await s.TailOf("/log")).Members.Select(m => s.Cluster.ServerAt(m.Address)).ToList();
        await s.Delay(75_000);

        await s.Cluster.Master.StopAsync();
        members[0].Kill();
        s.Cluster.Master.Start();
        foreach (var server in members.Skip(1))
        {
            await s.Delay(30_000);
            server.Kill();
        }

        await s.Delay(2000);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), await s.Records("/log"));
    }, FourServers);
}
