using Semel.Client;
using Semel.Master;
using Semel.Protocol.Wires;
using Semel.Simulation.Cluster;
using Semel.Simulation.Kernel;
using Xunit;

namespace Semel.Tests.Scenarios;

/// <summary>
/// An older copy of the master's directory, and two masters on copies of one: nothing is given twice, and nobody is served who lacks what
/// was acknowledged.
/// </summary>
public sealed class MasterIdentityTests
{
    [Fact]
    public void An_older_copy_of_the_masters_directory_gives_nothing_away_and_the_right_one_goes_on() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/first");
        var first = await app.OpenWriter("/first");
        await first.Append("0");
        var old = s.Cluster.Master.Disk.Backup();
        await app.Create("/second");
        var second = await app.OpenWriter("/second");
        for (int i = 0; i < 200; i++)
            await second.Append($"{i}".PadRight(1000));
        await s.Delay(5_000);       // the servers hear how long the log is
        await s.Cluster.Master.StopAsync();
        var right = s.Cluster.Master.Disk.Backup();

        s.Cluster.Master.Disk.Restore(old);
        s.Cluster.Master.Start();
        var third = app.Create("/third");
        var registered = s.NewClient("late").OpenWriter("/first", "late");
        await s.Delay(20_000);

        Assert.Contains("event 1006 LogIsOlder", s.World.Coverage.Keys);
        Assert.False(third.IsCompletedSuccessfully);
        Assert.False(registered.IsCompletedSuccessfully);

        await s.Cluster.Master.StopAsync();
        s.Cluster.Master.Disk.Restore(right);
        s.Cluster.Master.Start();
        await first.Append("1");
        await second.Append("more");

        Assert.Equal(["0", "1"], await s.Records("/first"));
        Assert.Equal(201, (await s.Records("/second")).Count);
        await s.AssertReplicasIdentical("/second");
    });

    [Fact]
    public void An_old_master_that_first_met_a_server_which_was_away_leaves_nothing_that_speaks_against_the_right_one() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        await s.Cluster.Master.StopAsync();
        var old = s.Cluster.Master.Disk.Backup();
        var servers = s.Cluster.ChunkServers;
        servers[0].Kill();                  // it sees no later master
        s.Cluster.Master.Start();
        await writer.Append("1");
        await s.Delay(3_000);
        await s.Cluster.Master.StopAsync();
        var right = s.Cluster.Master.Disk.Backup();
        servers[1].Kill();
        servers[2].Kill();

        s.Cluster.Master.Disk.Restore(old);
        s.Cluster.Master.Start();
        servers[0].Start();
        long before = Reports();
        await Until(() => Reports() > before);
        Assert.DoesNotContain("event 1006 LogIsOlder", s.World.Coverage.Keys);
        servers[1].Start();
        servers[2].Start();
        await Until(() => s.World.Coverage.ContainsKey("event 1006 LogIsOlder"));

        await s.Cluster.Master.StopAsync();
        s.Cluster.Master.Disk.Restore(right);
        s.Cluster.Master.Start();
        await writer.Append("2");

        Assert.Equal(["0", "1", "2"], await s.Records("/log"));

        long Reports() => s.World.Coverage.GetValueOrDefault("event 1106 ReportCompleted");

        async Task Until(Func<bool> condition)
        {
            while (!condition())
                await s.Delay(5);
        }
    });

    [Fact]
    public void Entries_that_a_restarted_master_lost_at_the_end_of_its_log_are_missed_by_its_servers() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/first");
        await app.OpenWriter("/first", "b");
        await s.Cluster.Master.StopAsync();
        var old = s.Cluster.Master.Disk.Backup();
        s.Cluster.Master.Start();
        await app.Create("/second");

        s.Cluster.Master.Kill();
        s.Cluster.Master.Disk.Restore(old);
        s.Cluster.Master.Start();
        var third = app.OpenWriter("/first", "c");
        await s.Delay(10_000);

        Assert.Contains("event 1006 LogIsOlder", s.World.Coverage.Keys);
        Assert.False(third.IsCompletedSuccessfully);
    });

    [Fact]
    public void Of_two_masters_on_copies_of_one_directory_one_is_served_and_the_other_says_why_not() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var second = new SimulatedServer(s.World, s.Cluster.Network, s.Cluster.Shape, "master2", 7070, StartSecondAsync);
        second.Disk.Restore(s.Cluster.Master.Disk.Backup());

        second.Start();
        var (process, wire) = s.Cluster.NewClientProcess("astray");
        var astray = new ScenarioClient(process, wire, second.Address);
        var made = astray.Create("/other");
        var opened = astray.OpenWriter("/log");
        for (int i = 1; i < 100; i++)
        {
            await writer.Append($"{i}".PadRight(1000));
            await s.Delay(100);
        }
        await app.Create("/third");

        Assert.False(made.IsCompletedSuccessfully);
        Assert.False(opened.IsCompletedSuccessfully);
        Assert.NotNull(((MasterNode)second.Node!.Node).Standing.Withholds);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"{i}"), (await s.Records("/log")).Select(r => r.Trim()));
        await s.AssertReplicasIdentical("/log");

        async Task<RunningNode> StartSecondAsync(SimulatedProcess p, Semel.Storage.Disks.IDisk disk, IWire w)
        {
            var options = new MasterOptions
            {
                BindAddress = "master2:7070",
                TinyChunkCapacity = s.Cluster.Shape.ChunkCapacity,
                HeartbeatInterval = TimeSpan.FromMilliseconds(200),
                DeadAfter = TimeSpan.FromMilliseconds(800),
                LeaseDuration = TimeSpan.FromSeconds(2),
            };
            var node = await MasterNode.StartAsync(options, disk, w, p.Time, p.Random, new SimulatedLogging(p), CancellationToken.None);
            return new RunningNode(node, node.Completion);
        }
    });
}
