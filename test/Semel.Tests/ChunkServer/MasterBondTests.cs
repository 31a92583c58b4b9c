using Semel.Protocol.Frames;
using Semel.Protocol.Messages;

namespace Semel.Tests.ChunkServer;

/// <summary>A chunk server serves one master, and a chunk is bound to its making.</summary>
public sealed class MasterBondTests
{
    private const ulong Creation = 4711;

    private static CreateChunkRequest Request() => new()
    {
        MasterEpoch = 1,
        Handle = ScriptedCluster.Handle,
        FileId = 1,
        Capacity = ChunkLimits.MinCapacity,
        Durability = Durability.Group,
        CreationId = Creation,
    };

    private static async Task<Status> CreateAsync(ScriptedCluster cluster, Action<CreateChunkRequest>? change = null)
    {
        var request = Request();
        change?.Invoke(request);
        return (await cluster.CallAsync<CreateChunkReply>(ScriptedCluster.Server(0), MessageKind.CreateChunk, request))!.Status;
    }

    [Fact]
    public void Making_a_chunk_again_is_harmless_and_anything_else_under_its_handle_is_refused_and_kept()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            Assert.Equal(Status.Ok, await CreateAsync(cluster));
            Assert.Equal(Status.Ok, await CreateAsync(cluster));

            foreach (var change in (Action<CreateChunkRequest>[])
                [r => r.CreationId++, r => r.CreationId = 0, r => r.FileId++, r => r.Index++, r => r.Capacity *= 2, r => r.Durability = Durability.Memory,
                r => r.Base = new ChunkBase { Digest = 1 }])
                Assert.Equal(Status.Conflict, await CreateAsync(cluster, change));

            var inspected = await cluster.InspectAsync(0);
            Assert.Equal((Status.Ok, Creation), (inspected!.Status, inspected.Report.CreationId));
        });
    }

    [Fact]
    public void A_replica_that_has_records_is_not_taken_for_a_new_one()
    {
        var cluster = new ScriptedCluster(servers: 1);
        cluster.Run(async () =>
        {
            Assert.Equal(Status.Ok, await CreateAsync(cluster));
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "hello");

            Assert.Equal(Status.Conflict, await CreateAsync(cluster));
            Assert.Equal(Status.Conflict, await CreateAsync(cluster, r => r.FileId = 2));

            Assert.Equal(["hello"], await cluster.RecordsAsync(0));
        });
    }

    [Fact]
    public void A_replica_of_another_making_gets_no_primary()
    {
        var cluster = new ScriptedCluster(servers: 1);
        cluster.Run(async () =>
        {
            await CreateAsync(cluster);
            var grant = new GrantRequest { MasterEpoch = 1, Handle = ScriptedCluster.Handle, Version = 1, LeaseMs = 1000, MinMembers = 1, CreationId = Creation + 1 };
            grant.Members.Add(cluster.Everyone);

            var other = await cluster.CallAsync<GrantReply>(ScriptedCluster.Server(0), MessageKind.Grant, grant);
            grant.CreationId = Creation;
            var own = await cluster.CallAsync<GrantReply>(ScriptedCluster.Server(0), MessageKind.Grant, grant);

            Assert.Equal((Status.NotFound, Status.Ok), (other!.Status, own!.Status));
        });
    }

    [Fact]
    public void An_older_master_and_another_one_of_the_same_epoch_are_refused_and_told_why()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await CreateAsync(cluster);

            var older = await cluster.CallAsync<PromiseReply>(ScriptedCluster.Server(0), MessageKind.Promise, new PromiseRequest { MasterEpoch = 0, Handle = ScriptedCluster.Handle, Version = 9 });
            var second = await cluster.CallAsync<PromiseReply>(
                ScriptedCluster.Server(0), MessageKind.Promise, new PromiseRequest { MasterEpoch = 1, MasterNonce = 5, Handle = ScriptedCluster.Handle, Version = 9 });

            Assert.Equal((Status.Stale, Status.Stale), (older!.Status, second!.Status));
            Assert.Contains("replaced", older.Detail, StringComparison.Ordinal);
            Assert.Contains("another master of epoch 1", second.Detail, StringComparison.Ordinal);
            Assert.Equal(0UL, (await cluster.InspectAsync(0))!.Report.Promised);
        });
    }

    [Fact]
    public void A_newer_master_is_heard_when_the_server_has_accepted_it_and_the_one_before_it_never_again()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await CreateAsync(cluster);
            (cluster.MasterEpoch, cluster.MasterNonce) = (2, 99);

            var newer = await cluster.CallAsync<PromiseReply>(
                ScriptedCluster.Server(0), MessageKind.Promise, new PromiseRequest { MasterEpoch = 2, MasterNonce = 99, Handle = ScriptedCluster.Handle, Version = 9 });
            cluster.Kill(0, losePower: true);
            cluster.Start(0);
            PromiseReply? before = null;
            await cluster.UntilAsync(async () => (before = await cluster.PromiseAsync(0, 10)) is not null);
            var known = await cluster.CallAsync<KnownMasterReply>(ScriptedCluster.Server(0), MessageKind.KnownMaster, new KnownMasterRequest());

            Assert.Equal(Status.Ok, newer!.Status);
            Assert.Equal(Status.Stale, before!.Status);
            Assert.Equal((2UL, 99UL), (known!.Epoch, known.Nonce));
        });
    }

    [Fact]
    public void A_master_that_is_not_elected_is_told_everything_and_neither_heard_nor_remembered()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await CreateAsync(cluster);
            (cluster.MasterEpoch, cluster.MasterNonce, cluster.IsElected) = (2, 99, false);

            var newer = await cluster.CallAsync<PromiseReply>(
                ScriptedCluster.Server(0), MessageKind.Promise, new PromiseRequest { MasterEpoch = 2, MasterNonce = 99, Handle = ScriptedCluster.Handle, Version = 9 });
            await cluster.PassAsync(TimeSpan.FromSeconds(3));
            var before = await cluster.PromiseAsync(0, 10);
            var known = await cluster.CallAsync<KnownMasterReply>(ScriptedCluster.Server(0), MessageKind.KnownMaster, new KnownMasterRequest());

            Assert.NotEqual(Status.Ok, newer?.Status ?? Status.Unavailable);
            Assert.Equal(Status.Ok, before!.Status);
            Assert.Equal((1UL, 0UL), (known!.Epoch, known.Nonce));
            Assert.Equal((2UL, 99UL), (known.HeardEpoch, known.HeardNonce));
        });
    }
}
