using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Simulation.Cluster;
using Xunit;

namespace Semel.Tests.Scenarios;

/// <summary>What a replica may believe of the end of its own log when it starts.</summary>
public sealed class TailTests
{
    private static readonly string[] Expected = [.. Enumerable.Range(0, 40).Select(i => $"{i}")];

    [Fact]
    public void Rot_in_the_last_frame_of_the_server_that_starts_first_after_a_clean_stop_loses_nothing() => Scenario.Play(async s =>
    {
        await AppendAsync(s);
        var servers = await MembersOf(s);
        string chunk = await ChunkOf(s);
        await StopAllAsync(s);

        Rot(servers[0], chunk);
        await StartFirstAloneAsync(s, servers);

        await AssertAllIsThereAsync(s);
        Assert.Contains("event 2007 ReplicaDamaged", s.World.Coverage.Keys);
    });

    [Fact]
    public void Rot_in_the_last_frame_is_found_also_after_a_crash_once_the_chunk_was_at_rest() => Scenario.Play(async s =>
    {
        await AppendAsync(s);
        var servers = await MembersOf(s);
        string chunk = await ChunkOf(s);
        await s.Delay(12_000);
        foreach (var server in servers)
            server.Kill();
        s.Cluster.Master.Kill();

        Rot(servers[0], chunk);
        await StartFirstAloneAsync(s, servers);

        await AssertAllIsThereAsync(s);
        Assert.Contains("event 2007 ReplicaDamaged", s.World.Coverage.Keys);
    });

    [Fact]
    public void A_replica_that_was_cut_at_a_frame_under_its_running_server_loses_nothing_when_that_starts_first() => Scenario.Play(async s =>
    {
        await AppendAsync(s);
        var servers = await MembersOf(s);
        string chunk = await ChunkOf(s);

        CutLastFrame(servers[0], chunk);
        await StopAllAsync(s);
        await StartFirstAloneAsync(s, servers);

        await AssertAllIsThereAsync(s);
        Assert.Contains("event 2007 ReplicaDamaged", s.World.Coverage.Keys);
    });

    [Fact]
    public void A_replica_that_became_shorter_under_its_running_server_is_repaired_when_a_reader_meets_it() => Scenario.Play(async s =>
    {
        var app = await AppendAsync(s);
        var primary = await s.PrimaryOf("/log");

        CutLastFrame(primary, await ChunkOf(s));
        Assert.Equal(Expected, await s.Records("/log"));
        var writer = await app.OpenWriter("/log", "another");
        await writer.Append("more");

        Assert.Equal([.. Expected, "more"], await s.Records("/log"));
        Assert.Contains("event 2111 ReplicaRotten", s.World.Coverage.Keys);
        while ((await s.AssertReplicasIdentical("/log")).Chunks.Any(c => c.IsSealed && c.Replicas.Count < 3))
            await s.Delay(100);
    });

    [Fact]
    public void Nothing_is_appended_behind_a_hole() => Scenario.Play(async s =>
    {
        var app = await AppendAsync(s);
        var secondary = await s.SecondaryOf("/log");
        CutLastFrame(secondary, await ChunkOf(s));

        var writer = await app.OpenWriter("/log", "another");
        await writer.Append("more");

        Assert.Equal([.. Expected, "more"], await s.Records("/log"));
        Assert.Contains("event 2111 ReplicaRotten", s.World.Coverage.Keys);
        await s.AssertReplicasIdentical("/log");
    });

    [Fact]
    public void Nothing_is_written_while_nothing_changes() => Scenario.Play(async s =>
    {
        await AppendAsync(s);
        var servers = await MembersOf(s);
        await s.Delay(20_000);
        var flushed = new List<string>();
        foreach (var server in servers)
            server.Disk.FailFlush = name =>
            {
                if (name.StartsWith("chunks/", StringComparison.Ordinal))
                    flushed.Add(name);
                return false;
            };

        await s.Delay(60_000);

        Assert.Empty(flushed);
    });

    private static async Task<ScenarioClient> AppendAsync(Scenario s)
    {
        await s.Delay(500);     // all servers have registered: the chunk has all its replicas from the beginning
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        foreach (string record in Expected)
            await writer.Append(record);
        return app;
    }

    private static async Task<List<SimulatedServer>> MembersOf(Scenario s) => [.. (await s.TailOf("/log")).Members.Select(m => s.Cluster.ServerAt(m.Address))];

    private static async Task StopAllAsync(Scenario s)
    {
        foreach (var server in s.Cluster.Servers)
            await server.StopAsync();
    }

    private static async Task StartFirstAloneAsync(Scenario s, List<SimulatedServer> servers)
    {
        s.Cluster.Master.Start();
        servers[0].Start();
        await s.Delay(3000);
        foreach (var server in s.Cluster.Servers)
            server.Start();
        await s.Cluster.AllUpAsync();
    }

    private static async Task AssertAllIsThereAsync(Scenario s)
    {
        Assert.Equal(Expected, await s.Records("/log"));
        await s.AssertReplicasIdentical("/log");
    }

    private static void Rot(SimulatedServer server, string chunk)
    {
        server.WasHarmed = true;
        server.Disk.Corrupt(chunk, server.Disk.ReadAll(chunk).Length - 9, 0x10);
    }

    private static void CutLastFrame(SimulatedServer server, string chunk)
    {
        server.WasHarmed = true;
        var reader = new FrameReader(server.Disk.ReadAll(chunk), 0, null);
        uint last = 0;
        while (reader.Read())
            last = reader.Header.Offset;
        server.Disk.CutShort(chunk, last);
    }

    /// <summary>The file's only chunk, as a file.</summary>
    private static async Task<string> ChunkOf(Scenario s) => SimulatedCluster.FileOf(new ChunkHandle((await s.TailOf("/log")).Handle));
}
