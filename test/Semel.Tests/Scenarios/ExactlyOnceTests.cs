using Semel.Client;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;
using Semel.Simulation.Disk;
using Semel.Simulation.Wire;
using Xunit;

namespace Semel.Tests.Scenarios;

/// <summary>What happens to an append when something breaks in the middle of it.</summary>
public sealed class ExactlyOnceTests
{
    [Fact]
    public void An_append_is_read_back_at_the_position_that_was_answered() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");

        var first = await writer.Append("a");
        var second = await writer.Append("");

        var records = await app.Read("/log");
        Assert.Equal([(first.Position!.Value, "a"), (second.Position!.Value, "")], records);
        await s.AssertReplicasIdentical("/log");
    });

    [Fact]
    public void A_retried_append_returns_the_first_offset() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        int lost = 0;
        s.Cluster.Network.DropReply = call => call.Kind == MessageKind.Append && lost++ < 2;

        var result = await writer.Append("a");

        Assert.True(lost > 2, $"{lost} answers were sent");
        Assert.Equal([(result.Position!.Value, "a")], await app.Read("/log"));
        Assert.Equal(["a"], await s.Records("/log"));
    });

    [Fact]
    public void Requests_that_arrive_twice_append_once() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        s.Cluster.Network.Faults = new NetworkFaults { Duplication = 1, DuplicateDelay = TimeSpan.FromMilliseconds(300) };
        var writer = await app.OpenWriter("/log");

        for (int i = 0; i < 20; i++)
            await writer.Append($"{i}");
        await s.Delay(1000);

        Assert.Equal(Numbers(20), await s.Records("/log"));
    });

    [Fact]
    public void An_append_survives_the_crash_of_the_primary() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("before");
        var primary = await s.PrimaryOf("/log");
        // The primary commits, and dies before its answer is out.
        s.Cluster.Network.DropReply = call =>
        {
            if (call.Kind != MessageKind.Append)
                return false;
            s.World.After(TimeSpan.Zero, primary.Kill);
            s.Cluster.Network.DropReply = null;
            return true;
        };

        var result = await writer.Append("in doubt");
        var after = await writer.Append("after");

        Assert.NotNull(result.Position);
        Assert.NotNull(after.Position);
        Assert.Equal(["before", "in doubt", "after"], await s.Records("/log"));
    });

    [Fact]
    public void A_primary_that_dies_before_anyone_holds_the_frame_costs_a_retry_and_no_record() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("before");
        var primary = await s.PrimaryOf("/log");
        s.Cluster.Network.DropRequest = call =>
        {
            if (call.Kind != MessageKind.Prepare)
                return false;
            s.World.After(TimeSpan.Zero, primary.LosePower);
            return true;
        };
        s.World.After(TimeSpan.FromSeconds(1), () => s.Cluster.Network.DropRequest = null);

        await writer.Append("once");

        Assert.Equal(["before", "once"], await s.Records("/log"));
    });

    [Fact]
    public void A_roll_over_keeps_records_exactly_once() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        int calls = 0;
        s.Cluster.Network.DropReply = call => call.Kind == MessageKind.Append && ++calls % 3 == 0;
        var expected = new List<string>();

        for (int i = 0; i < 40; i++)
        {
            expected.Add(i + new string('x', 9000));
            await writer.Append(expected[^1]);
        }

        Assert.Equal(expected, await s.Records("/log"));
        var image = await s.AssertReplicasIdentical("/log");
        Assert.True(image.Chunks.Count >= 6, $"{image.Chunks.Count} chunks");
    });

    [Fact]
    public void A_chunk_server_that_is_stopped_and_started_again_misses_nothing() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var secondary = await s.SecondaryOf("/log");

        await secondary.StopAsync();
        for (int i = 1; i < 10; i++)
            await writer.Append($"{i}");
        secondary.Start();
        await s.Delay(6000);
        for (int i = 10; i < 20; i++)
            await writer.Append($"{i}");

        Assert.Equal(Numbers(20), await s.Records("/log"));
        await s.AssertReplicasIdentical("/log");
    });

    [Fact]
    public void A_restart_of_the_master_stops_nobody_who_appends() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");

        s.Cluster.Master.LosePower();
        for (int i = 1; i < 10; i++)
            await writer.Append($"{i}");
        s.Cluster.Master.Start();
        await s.Cluster.AllUpAsync();
        for (int i = 10; i < 20; i++)
            await writer.Append($"{i}");

        Assert.Equal(Numbers(20), await s.Records("/log"));
    });

    [Fact]
    public void The_older_of_two_incarnations_of_a_writer_is_fenced() => Scenario.Play(async s =>
    {
        var first = s.NewClient("first");
        var second = s.NewClient("second");
        await first.Create("/log");
        var older = await first.OpenWriter("/log", "w");
        await older.Append("1");

        var newer = await second.OpenWriter("/log", "w");

        Assert.Equal(1ul, newer.LastSequence);
        var failure = await Assert.ThrowsAnyAsync<SemelException>(() => older.Append("2 of the older"));
        Assert.IsType<WriterFencedException>(failure);
        await newer.Append("2 of the newer");
        Assert.Equal(["1", "2 of the newer"], await s.Records("/log"));
    });

    [Fact]
    public void A_writer_that_is_started_again_goes_on_after_its_last_record() => Scenario.Play(async s =>
    {
        var first = s.NewClient("first");
        await first.Create("/log");
        var before = await first.OpenWriter("/log", "w");
        for (int i = 0; i < 5; i++)
            await before.Append($"{i}");
        first.Process.Kill();

        var after = await s.NewClient("second").OpenWriter("/log", "w");
        for (ulong i = after.LastSequence; i < 10; i++)
            await after.Append($"{i}");

        Assert.Equal(Numbers(10), await s.Records("/log"));
    });

    [Fact]
    public void A_power_failure_of_all_machines_loses_nothing_that_was_acknowledged() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        for (int round = 0; round < 5; round++)
        {
            for (int i = 0; i < 4; i++)
                await writer.Append($"{round * 4 + i}");

            foreach (var server in s.Cluster.Servers)
                server.LosePower();
            foreach (var server in s.Cluster.Servers)
                server.Start();
            await s.Cluster.AllUpAsync();
        }

        Assert.Equal(Numbers(20), await s.Records("/log"));
        await s.AssertReplicasIdentical("/log");
    });

    [Fact]
    public void A_primary_that_is_cut_off_is_replaced_and_changes_nothing_when_it_comes_back() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var primary = await s.PrimaryOf("/log");
        foreach (string host in s.Cluster.Hosts.Where(h => h != primary.Host).ToList())
        {
            s.Cluster.Network.Cut(primary.Host, host);
            s.Cluster.Network.Cut(host, primary.Host);
        }

        for (int i = 1; i < 5; i++)
            await writer.Append($"{i}");
        s.Cluster.Network.MendAll();
        for (int i = 5; i < 10; i++)
            await writer.Append($"{i}");

        Assert.Equal(Numbers(10), await s.Records("/log"));
    });

    [Fact]
    public void A_primary_that_slept_through_its_replacement_changes_nothing_when_it_wakes_up() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var primary = (await s.PrimaryOf("/log")).Process!;

        primary.Pause();
        for (int i = 1; i < 5; i++)
            await writer.Append($"{i}");
        primary.Resume();
        for (int i = 5; i < 10; i++)
            await writer.Append($"{i}");

        Assert.Equal(Numbers(10), await s.Records("/log"));
    });

    [Fact]
    public void A_full_disk_moves_the_appends_to_other_servers() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var secondary = await s.SecondaryOf("/log");

        secondary.Disk.Faults = new DiskFaults { Full = true, ReservationsFail = true };
        for (int i = 1; i < 10; i++)
            await writer.Append($"{i}");

        Assert.Equal(Numbers(10), await s.Records("/log"));
        var tail = await s.TailOf("/log");
        Assert.DoesNotContain(tail.Members, m => m.Address == secondary.Address);
    }, new ClusterShape { ChunkServers = 4, ChunkCapacity = 64 << 10 });

    [Fact]
    public void A_reader_that_follows_sees_every_record_once_through_roll_overs_and_crashes() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var seen = s.NewClient("follower").Follow("/log");
        var writer = await app.OpenWriter("/log");
        var expected = new List<string>();

        for (int i = 0; i < 30; i++)
        {
            expected.Add(i + new string('y', 5000));
            await writer.Append(expected[^1]);
            if (i % 10 != 5)
                continue;
            var primary = await s.PrimaryOf("/log");
            primary.Kill();
            primary.Start();
        }
        await s.Delay(5000);

        Assert.Equal(expected, seen);
    });

    [Fact]
    public void A_batch_is_in_the_file_as_a_whole_and_in_one_frame() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        s.Cluster.Network.Faults = new NetworkFaults { Loss = 0.05, LossBreaksConnection = 0.8 };

        for (int i = 0; i < 20; i++)
        {
            var results = await writer.AppendBatch($"{3 * i}", $"{3 * i + 1}", $"{3 * i + 2}");
            Assert.Single(results.Select(r => (r.Position!.Value.ChunkIndex, r.Position!.Value.FrameOffset)).Distinct());
        }

        s.Cluster.Network.Faults = NetworkFaults.None;
        Assert.Equal(Numbers(60), await s.Records("/log"));
    });

    [Fact]
    public void A_frame_that_found_no_space_is_forgotten_even_by_a_replica_that_is_killed_and_started_again() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var secondary = await s.SecondaryOf("/log");

        secondary.Disk.Faults = new DiskFaults { Full = true, ReservationsFail = true };
        var inDoubt = writer.Append("1");
        await s.Delay(30);
        secondary.Kill();
        secondary.Disk.Faults = DiskFaults.None;
        secondary.Start();
        await inDoubt;
        await writer.Append("2");

        Assert.Equal(Numbers(3), await s.Records("/log"));
        await s.AssertReplicasIdentical("/log");
    });

    [Fact]
    public void A_rotten_replica_is_not_believed() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        for (int i = 0; i < 10; i++)
            await writer.Append($"{i}");
        var primary = await s.PrimaryOf("/log");

        primary.WasHarmed = true;
        primary.Disk.Corrupt(primary.Disk.AllFiles().First(name => name.EndsWith(".chunk", StringComparison.Ordinal)), 200, 0x10);

        Assert.Equal(Numbers(10), await s.Records("/log"));
    });

    [Fact]
    public void Rot_that_a_reader_meets_is_repaired() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        for (int i = 0; i < 200; i++)
            await writer.Append(new string('x', 1000) + i);
        var (server, chunk) = await SealedReplica(s, "/log");
        server.WasHarmed = true;
        server.Disk.Corrupt(chunk, 200, 0x10);

        // Ends when there are three good replicas again.
        while ((await s.AssertReplicasIdentical("/log")).Chunks.Any(c => c.IsSealed && c.Replicas.Count < 3))
            await s.Delay(100);

        Assert.Contains("event 2111 ReplicaRotten", s.World.Coverage.Keys);
    });

    [Fact]
    public void The_file_of_another_chunk_is_not_taken_for_ones_own() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        for (int i = 0; i < 200; i++)
            await writer.Append(new string('x', 1000) + i);
        var (server, chunk) = await SealedReplica(s, "/log");
        string other = server.Disk.AllFiles().First(name => name.EndsWith(".chunk", StringComparison.Ordinal) && name != chunk);
        byte[] foreign = server.Disk.ReadAll(other);
        Array.Resize(ref foreign, server.Disk.ReadAll(chunk).Length);
        server.Kill();
        server.WasHarmed = true;
        server.Disk.Put(chunk, foreign);
        server.Start();

        await s.AssertReplicasIdentical("/log");

        Assert.Contains("event 2007 ReplicaDamaged", s.World.Coverage.Keys);
    });

    [Fact]
    public void A_data_directory_that_is_an_older_copy_of_itself_is_distrusted_until_it_has_caught_up() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log");
        await writer.Append("0");
        var unlucky = await s.SecondaryOf("/log");
        await s.Delay(500);
        var backup = unlucky.Disk.Backup();
        await s.Delay(500);
        await writer.Append("1");

        // All servers go; at first only the one with the old copy comes back. It must not go on without the record that it has forgotten.
        foreach (var server in s.Cluster.ChunkServers)
            server.Kill();
        unlucky.WasHarmed = true;
        unlucky.Disk.Restore(backup);
        unlucky.Start();
        var third = app.Process.Start(async () => await s.NewClient("more").OpenWriter("/log", "more"));
        await s.Delay(5_000);
        Assert.Contains("event 2011 DirectoryIsOlder", s.World.Coverage.Keys);
        Assert.False(third.IsCompleted);
        foreach (var server in s.Cluster.ChunkServers)
            server.Start();
        await writer.Append("2");

        Assert.Equal(Numbers(3), await s.Records("/log"));
        await s.AssertReplicasIdentical("/log");
    });

    /// <summary>A server and the file of a sealed chunk on it, which is not the file's first chunk.</summary>
    private static async Task<(SimulatedServer Server, string File)> SealedReplica(Scenario s, string path)
    {
        var image = await s.AssertReplicasIdentical(path);
        var chunk = image.Chunks.Last(c => c.IsSealed);
        Assert.NotEqual(0ul, chunk.Index);
        return (s.Cluster.ServerAt(chunk.Replicas[0].Server), $"chunks/{chunk.Handle.ToString()[14..]}/{chunk.Handle}.chunk");
    }

    private static List<string> Numbers(int count) => Enumerable.Range(0, count).Select(i => $"{i}").ToList();
}
