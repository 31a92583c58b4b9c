using Semel.Protocol.Frames;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;

namespace Semel.Tests.ChunkServer;

/// <summary>A copy of a sealed chunk where another replica of it is already.</summary>
public sealed class ReplicaCopyTests
{
    private static string File => SimulatedCluster.FileOf(new(ScriptedCluster.Handle));

    [Fact]
    public void A_damaged_replica_stays_until_its_copy_is_whole()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            uint length = await SealAsync(cluster);
            cluster.Disk(2).CutShort(File, length - 64);
            await cluster.UntilAsync(async () => (await cluster.InspectAsync(2))!.Report.Damaged);
            cluster.Kill(0);

            var fromTheDead = await cluster.OrderAsync(2, Copy(length, 0));
            byte[] kept = cluster.Disk(2).ReadAll(File);
            var fromTheLiving = await cluster.OrderAsync(2, Copy(length, 0, 1));

            Assert.Equal(Status.Unavailable, fromTheDead.Status);
            Assert.Equal((int)length - 64, kept.Length);
            Assert.Equal(Status.Ok, fromTheLiving.Status);
            Assert.Equal(await cluster.ReadAsync(1), await cluster.ReadAsync(2));
            Assert.Contains(cluster.Reported, r => r.Server == 3 && r.Report.Damaged);
            Assert.Equal((true, false), ((await cluster.InspectAsync(2))!.Report.Sealed, (await cluster.InspectAsync(2))!.Report.Damaged));
        });
    }

    [Fact]
    public void Who_knows_more_to_be_committed_than_the_copy_has_refuses_it_and_its_deletion()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            uint length = await SealAsync(cluster);

            var copied = await cluster.OrderAsync(2, Copy(length - 64, 1));
            var deleted = await cluster.OrderAsync(2, new Command
            {
                DeleteChunk = new DeleteChunk { Handle = ScriptedCluster.Handle, OnlyIfPromisedBelow = ulong.MaxValue, OnlyIfCommittedBelow = length },
            });
            var allowed = await cluster.OrderAsync(2, new Command
            {
                DeleteChunk = new DeleteChunk { Handle = ScriptedCluster.Handle, OnlyIfPromisedBelow = ulong.MaxValue, OnlyIfCommittedBelow = length + 1 },
            });

            Assert.Equal(Status.Conflict, copied.Status);
            Assert.Contains($"{length}", copied.Detail, StringComparison.Ordinal);
            Assert.Equal(Status.Conflict, deleted.Status);
            Assert.Equal(Status.Ok, allowed.Status);
            Assert.Equal(length, cluster.Reported.Last(r => r.Server == 3 && !r.Report.Gone).Report.OnceCommitted);
        });
    }

    [Fact]
    public void A_copy_that_has_its_SEAL_where_a_committed_record_is_here_is_refused()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            Assert.Equal(AppendStatus.Committed, (await cluster.AppendAsync(0, 5, 1, 1, "a"))!.Status);
            uint end = (await cluster.InspectAsync(0))!.Report.Committed;
            await cluster.UntilAsync(async () => (await cluster.InspectAsync(2))!.Report.Committed == end);
            await cluster.PromiseAsync(2, 2);

            // Shorter by the record, longer by the SEAL.
            var copied = await cluster.OrderAsync(2, Copy(end + 16, 1));

            Assert.Equal(Status.Conflict, copied.Status);
            Assert.Equal(end, (await cluster.InspectAsync(2))!.Report.Committed);
        });
    }

    [Fact]
    public void A_crash_at_any_time_leaves_the_old_replica_or_the_new_one()
    {
        for (int flushes = 0; flushes < 14; flushes++)
        {
            var cluster = new ScriptedCluster(seed: 7);
            int at = flushes;
            cluster.Run(async () =>
            {
                uint length = await SealAsync(cluster);
                cluster.Disk(2).CutShort(File, length - 64);
                await cluster.UntilAsync(async () => (await cluster.InspectAsync(2))!.Report.Damaged);
                long before = cluster.Disk(2).Flushes;
                var copy = cluster.OrderAsync(2, Copy(length, 1));
                await cluster.UntilAsync(() => Task.FromResult(copy.IsCompleted || cluster.Disk(2).Flushes >= before + at));
                cluster.Kill(2, losePower: true);
                cluster.Start(2);
                await cluster.UntilAsync(async () => await cluster.InspectAsync(2) is { Status: Status.Ok });

                var report = (await cluster.InspectAsync(2))!.Report;

                Assert.True(report.Damaged || (report.EndsInSeal && report.Tail == length), $"after {at} flushes: {report}");
                Assert.Equal(Status.Ok, (await cluster.OrderAsync(2, Copy(length, 1))).Status);
                Assert.Equal(await cluster.ReadAsync(1), await cluster.ReadAsync(2));
            });
        }
    }

    private static async Task<uint> SealAsync(ScriptedCluster cluster)
    {
        await cluster.CreateAsync();
        await cluster.GrantAsync(0, 1);
        await cluster.InitAsync(0, 5, 1);
        for (ulong i = 1; i <= 5; i++)
            Assert.Equal(AppendStatus.Committed, (await cluster.AppendAsync(0, 5, 1, i, $"record {i}"))!.Status);
        await cluster.CallAsync<SealChunkReply>(ScriptedCluster.Server(0), MessageKind.SealChunk, new SealChunkRequest { MasterEpoch = 1, Handle = ScriptedCluster.Handle, Version = 1 });
        await cluster.UntilAsync(async () => cluster.Sealed.Count > 0 && (await cluster.InspectAsync(1))!.Report.Sealed && (await cluster.InspectAsync(2))!.Report.Sealed);
        return cluster.Sealed[0].Length;
    }

    private static Command Copy(uint length, params int[] from)
    {
        var clone = new CloneChunk
        {
            Handle = ScriptedCluster.Handle,
            FileId = 1,
            Index = 0,
            Version = 1,
            Length = length,
            Capacity = ChunkLimits.MinCapacity,
            Durability = Durability.Group,
        };
        clone.Sources.AddRange(from.Select(ScriptedCluster.Server));
        return new Command { CloneChunk = clone };
    }
}
