using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;
using Semel.Storage.Chunks;

namespace Semel.Tests.ChunkServer;

/// <summary>
/// A damaged replica that an operator decided for (<c>semel chunk recover</c>), and whose metadata says that more was durable than
/// verifies: what it had counts no more, also for the next start.
/// </summary>
public sealed class DamageGivenUpTests
{
    private const ulong Writer = 1;
    private const string Kept = "kept", Lost = "a record that is lost with the last frame, and longer than the one that comes in its place", More = "more";
    private static readonly string File = SimulatedCluster.FileOf(new ChunkHandle(ScriptedCluster.Handle));

    [Fact]
    public void A_replica_that_was_found_damaged_at_its_start_goes_on_from_what_verifies() => Play(async c =>
    {
        c.Kill(0);
        c.Disk(0).Corrupt(File, c.Disk(0).ReadAll(File).Length - 9, 0x10);
        c.Start(0);
    });

    [Fact]
    public void A_replica_that_became_shorter_under_its_running_server_goes_on_from_what_verifies() => Play(async c =>
        c.Disk(0).CutShort(File, c.Disk(0).ReadAll(File).Length - 8));

    private static void Play(Func<ScriptedCluster, Task> harmAsync)
    {
        var c = new ScriptedCluster(servers: 1);
        c.Run(async () =>
        {
            await c.CreateAsync();
            Assert.Equal(Status.Ok, (await c.GrantAsync(0, 1))!.Status);
            Assert.Equal(AppendStatus.Committed, (await c.InitAsync(0, Writer, 1)).Status);
            Assert.Equal(AppendStatus.Committed, (await c.AppendAsync(0, Writer, 1, 1, Kept))!.Status);
            Assert.Equal(AppendStatus.Committed, (await c.AppendAsync(0, Writer, 1, 2, Lost))!.Status);
            uint once = (await c.InspectAsync(0))!.Report.Tail;
            await c.UntilAsync(() => Task.FromResult(DurableOf(c) == once));

            await harmAsync(c);
            await UntilDamagedAsync(c);
            Assert.True(DurableOf(c) == once, "the durable mark lies beyond what verifies");
            var granted = await c.CallAsync<GrantReply>(ScriptedCluster.Server(0), MessageKind.Grant, new GrantRequest
            {
                MasterEpoch = 1,
                Handle = ScriptedCluster.Handle,
                Version = 2,
                LeaseMs = 600_000,
                MinMembers = 1,
                Unclean = true,
                OperatorDecided = true,
                Members = { ScriptedCluster.Server(0) },
            });

            Assert.Equal(Status.Ok, granted?.Status);
            Assert.True(DurableOf(c) < once);
            await c.UntilAsync(async () => (await c.AppendAsync(0, Writer, 1, 2, More)) is { Status: AppendStatus.Committed });
            Assert.Equal([Kept, More], await c.RecordsAsync(0));
            c.Kill(0);
            c.Start(0);
            InspectChunkReply? again = null;
            await c.UntilAsync(async () => (again = await c.InspectAsync(0)) is { Status: Status.Ok });
            Assert.False(again!.Report.Damaged);
            Assert.InRange(again.Report.Tail, 1u, once - 1);
        });
    }

    private static async Task UntilDamagedAsync(ScriptedCluster c) => await c.UntilAsync(async () => await c.InspectAsync(0) is { Report.Damaged: true });

    /// <summary>The durable mark that the newest metadata on the disk says.</summary>
    private static uint DurableOf(ScriptedCluster c)
    {
        byte[] meta = c.Disk(0).ReadAll(Path.ChangeExtension(File, "meta"));
        uint durable = 0;
        ulong newest = 0;
        for (int slot = 0; slot + ChunkMetadata.SlotSize <= meta.Length; slot += ChunkMetadata.SlotStride)
        {
            if (ChunkMetadata.TryRead(meta.AsSpan(slot, ChunkMetadata.SlotSize), out var metadata, out ulong generation, out _) && generation >= newest)
                (durable, newest) = (metadata.Durable, generation);
        }
        return durable;
    }
}
