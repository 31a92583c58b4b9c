using System.Buffers.Binary;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Simulation.Disk;

namespace Semel.Tests.ChunkServer;

/// <summary>The append protocol message by message: the sentences of docs/internals/record-append.md.</summary>
public class AppendProtocolTests
{
    [Fact]
    public void An_acknowledged_record_is_on_every_replica_at_the_same_offset()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);

            var reply = await cluster.AppendAsync(0, 5, 1, 1, "hello");

            Assert.Equal(AppendStatus.Committed, reply!.Status);
            await cluster.PassAsync(TimeSpan.FromMilliseconds(50));
            byte[] primary = await cluster.ReadAsync(0);
            Assert.True(primary.Length > reply.Offset);
            Assert.Equal(primary, await cluster.ReadAsync(1));
            Assert.Equal(primary, await cluster.ReadAsync(2));
            Assert.Equal(["hello"], await cluster.RecordsAsync(2));
        });
    }

    [Fact]
    public void A_retried_append_returns_the_first_offset()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            var first = await cluster.AppendAsync(0, 5, 1, 1, "once");

            var again = await cluster.AppendAsync(0, 5, 1, 1, "once");

            Assert.Equal((AppendStatus.Committed, first!.Offset), (again!.Status, again.Offset));
            Assert.Equal(["once"], await cluster.RecordsAsync(0));
        });
    }

    [Fact]
    public void The_same_id_with_other_bytes_is_refused()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "one");

            var reply = await cluster.AppendAsync(0, 5, 1, 1, "two");

            Assert.Equal(AppendStatus.OperationIdReused, reply!.Status);
        });
    }

    [Fact]
    public void An_INIT_tells_where_the_writers_last_batches_are_however_often_it_arrives()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            Assert.Null((await cluster.InitAsync(0, 5, 1)).Memory);
            var offsets = new List<uint>();
            for (ulong i = 1; i <= 10; i++)
                offsets.Add((await cluster.AppendAsync(0, 5, 1, i, $"{i}"))!.Offset);

            var first = await cluster.InitAsync(0, 5, 2);
            var again = await cluster.InitAsync(0, 5, 2);

            Assert.Equal((AppendStatus.Committed, 10UL), (first.Status, first.LastSequence));
            Assert.Equal(Enumerable.Range(3, 8).Select(i => ((ulong)i, 1U, offsets[i - 1])), first.Memory.Batches.Select(b => (b.FirstSequence, b.RecordCount, b.Offset)));
            Assert.Equal(first.Memory, again.Memory);
        });
    }

    [Fact]
    public void A_retry_beyond_the_window_is_known_to_be_committed()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            for (ulong s = 1; s <= 10; s++)
                await cluster.AppendAsync(0, 5, 1, s, $"r{s}");

            var reply = await cluster.AppendAsync(0, 5, 1, 1, "r1");

            Assert.Equal(AppendStatus.AlreadyCommitted, reply!.Status);
            Assert.Equal(10, (await cluster.RecordsAsync(0)).Length);
        });
    }

    [Fact]
    public void A_gap_in_the_sequence_is_refused_with_the_last_one()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "r1");

            var reply = await cluster.AppendAsync(0, 5, 1, 3, "r3");

            Assert.Equal((AppendStatus.OutOfOrder, 1UL), (reply!.Status, reply.LastSequence));
        });
    }

    [Fact]
    public void A_writer_that_was_never_initialised_is_unknown_and_an_older_epoch_is_fenced()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 2);

            Assert.Equal(AppendStatus.UnknownWriter, (await cluster.AppendAsync(0, 6, 1, 1, "x"))!.Status);
            Assert.Equal(AppendStatus.Fenced, (await cluster.AppendAsync(0, 5, 1, 1, "x"))!.Status);
            Assert.Equal(AppendStatus.Fenced, (await cluster.InitAsync(0, 5, 1)).Status);
        });
    }

    [Fact]
    public void A_survivor_takes_over_with_everything_that_was_acknowledged()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            var first = await cluster.AppendAsync(0, 5, 1, 1, "kept");
            cluster.Kill(0);

            await cluster.PromiseAsync(1, 2);
            await cluster.PromiseAsync(2, 2);
            await cluster.GrantAsync(2, 2, [1, 2]);
            var init = await cluster.InitAsync(2, 5, 1);
            var retry = await cluster.AppendAsync(2, 5, 1, 1, "kept");

            Assert.Equal(1UL, init.LastSequence);
            Assert.Equal((AppendStatus.Committed, first!.Offset), (retry!.Status, retry.Offset));
            Assert.Equal(["kept"], await cluster.RecordsAsync(2));
        });
    }

    [Fact]
    public void A_primary_that_was_replaced_commits_nothing_more()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.PromiseAsync(1, 2);
            await cluster.PromiseAsync(2, 2);
            await cluster.GrantAsync(1, 2, [1, 2]);

            var zombie = await cluster.AppendAsync(0, 5, 1, 1, "lost");
            var real = await cluster.InitAsync(1, 5, 2);

            Assert.NotEqual(AppendStatus.Committed, zombie?.Status);
            Assert.Equal(0UL, real.LastSequence);
        });
    }

    [Fact]
    public void A_ballot_serves_one_incarnation_of_a_primary_only()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            cluster.Kill(0);
            cluster.Start(0);

            GrantReply? again = null;
            await cluster.UntilAsync(async () => (again = await cluster.GrantAsync(0, 1)) is not null);

            Assert.Equal(Status.Stale, again!.Status);
        });
    }

    [Fact]
    public void A_promise_that_could_not_be_made_durable_is_not_given_when_it_is_asked_for_again()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            cluster.Disk(0).Faults = DiskFaults.None with { Full = true, ReservationsFail = true };
            var refused = await cluster.PromiseAsync(0, 2);

            var again = await cluster.PromiseAsync(0, 2);
            cluster.Disk(0).Faults = DiskFaults.None;
            var given = await cluster.PromiseAsync(0, 2);

            Assert.Equal(Status.DiskFailed, refused!.Status);
            Assert.Equal(Status.DiskFailed, again!.Status);
            Assert.Equal(Status.Ok, given!.Status);
        });
    }

    [Fact]
    public void A_secondary_that_was_restarted_goes_on_in_the_same_view()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "before");
            cluster.Kill(2, losePower: true);
            cluster.Start(2);

            AppendReply? reply = null;
            await cluster.UntilAsync(async () => (reply = await cluster.AppendAsync(0, 5, 1, 2, "after")) is { Status: AppendStatus.Committed });
            await cluster.PassAsync(TimeSpan.FromMilliseconds(100));

            Assert.Equal(["before", "after"], await cluster.RecordsAsync(2));
        });
    }

    [Fact]
    public void A_silent_secondary_is_accused_before_the_master()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            cluster.Pause(1);

            _ = cluster.AppendAsync(0, 5, 1, 1, "waits");
            await cluster.UntilAsync(() => Task.FromResult(cluster.Suspected.Count > 0));

            Assert.Equal((2UL, 1UL), (cluster.Suspected[0].Member, cluster.Suspected[0].Version));
        });
    }

    [Fact]
    public void A_secondary_whose_answers_take_long_is_not_accused_while_they_come_and_is_when_they_stop()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            ulong sequence = 0;
            foreach (int milliseconds in (int[])[300, 500, 700, 900, 900])
            {
                var time = TimeSpan.FromMilliseconds(milliseconds);
                cluster.Disk(1).Faults = DiskFaults.None with { MinFlush = time, MaxFlush = time };
                Assert.Equal(AppendStatus.Committed, (await cluster.AppendAsync(0, 5, 1, ++sequence, "slow"))!.Status);
            }
            Assert.Empty(cluster.Suspected);

            cluster.Pause(1);
            _ = cluster.AppendAsync(0, 5, 1, ++sequence, "waits");
            await cluster.UntilAsync(() => Task.FromResult(cluster.Suspected.Count > 0));

            Assert.Equal(2UL, cluster.Suspected[0].Member);
        });
    }

    [Fact]
    public void The_SEAL_names_the_digest_of_the_base_that_the_next_chunk_starts_from()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "a");
            await cluster.PassAsync(TimeSpan.FromSeconds(3));
            await cluster.CallAsync<SealChunkReply>(ScriptedCluster.Server(0), MessageKind.SealChunk,
                new SealChunkRequest { MasterEpoch = 1, Handle = ScriptedCluster.Handle, Version = 1 });
            await cluster.UntilAsync(() => Task.FromResult(cluster.Sealed.Count > 0));

            byte[] chunk = await cluster.ReadAsync(0);

            // The SEAL is the last frame: its payload of 32 bytes begins with the offset of the frame and the digest.
            Assert.Equal(cluster.Sealed[0].BaseDigest, BinaryPrimitives.ReadUInt32LittleEndian(chunk.AsSpan(chunk.Length - 32 + 4)));
        });
    }

    [Fact]
    public void A_full_chunk_is_sealed_and_a_retry_meets_its_answer_in_the_next_one()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            byte[] big = new byte[ChunkLimits.MaxRecordLength(ChunkLimits.MinCapacity)];
            ulong sequence = 1;
            AppendReply? reply, last = null;
            while ((reply = await cluster.AppendAsync(0, 5, 1, sequence, big))!.Status == AppendStatus.Committed)
                (last, sequence) = (reply, sequence + 1);
            Assert.Equal(AppendStatus.Sealed, reply.Status);
            await cluster.UntilAsync(() => Task.FromResult(cluster.Sealed.Count > 0));
            var seal = cluster.Sealed[0];

            var from = new ChunkBase { PreviousHandle = ScriptedCluster.Handle, PreviousLength = seal.Length, Digest = seal.BaseDigest };
            from.Sources.AddRange(cluster.Everyone);
            await cluster.CreateAsync(handle: 78, from: from);
            await cluster.GrantAsync(1, 1, handle: 78);
            await cluster.InitAsync(1, 5, 1, handle: 78);
            var retry = await cluster.AppendAsync(1, 5, 1, sequence - 1, big, handle: 78);
            var next = await cluster.AppendAsync(1, 5, 1, sequence, big, handle: 78);

            Assert.Equal((AppendStatus.Committed, 0UL, last!.Offset), (retry!.Status, retry.ChunkIndex, retry.Offset));
            Assert.Equal((AppendStatus.Committed, 1UL), (next!.Status, next.ChunkIndex));
            Assert.Single(await cluster.RecordsAsync(1, handle: 78));
            Assert.True((await cluster.InspectAsync(2))!.Report.Sealed);
        });
    }

    [Fact]
    public void In_a_sealed_chunk_every_batch_of_a_pipeline_is_sent_on_to_the_next_one()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.CallAsync<SealChunkReply>(ScriptedCluster.Server(0), MessageKind.SealChunk,
                new SealChunkRequest { MasterEpoch = 1, Handle = ScriptedCluster.Handle, Version = 1 });

            var replies = await Task.WhenAll(Enumerable.Range(1, 3).Select(s => cluster.AppendAsync(0, 5, 1, (ulong)s, $"r{s}")));

            Assert.All(replies, r => Assert.Equal(AppendStatus.Sealed, r!.Status));
        });
    }

    [Fact]
    public void A_record_that_exactly_fills_the_chunk_fits_and_an_empty_record_is_a_record()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            uint tail = FrameHeader.Size;
            ulong sequence = 1;
            uint room = ChunkLimits.MinCapacity - ChunkLimits.SealReserve;
            int big = ChunkLimits.MaxRecordLength(ChunkLimits.MinCapacity) - 8;
            while (room - tail > (uint)big)
            {
                var reply = await cluster.AppendAsync(0, 5, 1, sequence++, new byte[big]);
                Assert.Equal(AppendStatus.Committed, reply!.Status);
                tail = reply.Offset + FrameHeader.LengthOfFrame((uint)RecordBatch.Footprint(big));
            }
            tail += FrameHeader.LengthOfFrame(4);
            Assert.Equal(AppendStatus.Committed, (await cluster.AppendAsync(0, 5, 1, sequence++, ""))!.Status);

            var exact = await cluster.AppendAsync(0, 5, 1, sequence++, new byte[room - tail - FrameHeader.Size - 4]);
            var none = await cluster.AppendAsync(0, 5, 1, sequence, "");

            Assert.Equal(AppendStatus.Committed, exact!.Status);
            Assert.Equal(AppendStatus.Sealed, none!.Status);
            Assert.Contains("", await cluster.RecordsAsync(0));
        });
    }

    [Fact]
    public void A_full_disk_aborts_what_is_in_flight_and_seals_the_chunk()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "kept");
            cluster.Disk(1).CapacityBytes = cluster.Disk(1).UsedBytes + 1000;

            ulong sequence = 2;
            AppendReply? reply;
            do
                reply = await cluster.AppendAsync(0, 5, 1, sequence, new byte[100_000]);
            while (reply is { Status: AppendStatus.Committed } && sequence++ > 0);
            await cluster.UntilAsync(() => Task.FromResult(cluster.Sealed.Count > 0));

            Assert.Equal(1u, new Ballot((await cluster.InspectAsync(0))!.Report.LastView).Attempt);
            Assert.Equal((int)sequence - 1, (await cluster.RecordsAsync(0)).Length);
        });
    }

    [Fact]
    public void Nobody_is_fenced_by_an_INIT_that_is_not_committed()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            cluster.Pause(1);
            var newer = cluster.InitAsync(0, 5, 2);

            await cluster.PassAsync(TimeSpan.FromMilliseconds(50));
            Assert.Equal(AppendStatus.Retry, (await cluster.AppendAsync(0, 5, 1, 1, "old"))!.Status);
            cluster.Resume(1);

            Assert.Equal(AppendStatus.Committed, (await newer).Status);
            Assert.Equal(AppendStatus.Fenced, (await cluster.AppendAsync(0, 5, 1, 1, "old"))!.Status);
        });
    }

    [Fact]
    public void With_memory_durability_a_machine_that_lost_power_is_suspect()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync(durability: Durability.Memory);
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "soft");
            cluster.Kill(0);
            cluster.Kill(1, losePower: true);
            cluster.Start(1);

            PromiseReply? promise = null;
            await cluster.UntilAsync(async () => (promise = await cluster.PromiseAsync(1, 2)) is not null);

            Assert.True(promise!.Suspect);
        });
    }

    [Fact]
    public void A_suspect_replica_stays_one_through_restarts_and_becomes_no_primary()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync(durability: Durability.Memory);
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "soft");
            cluster.Kill(0);
            cluster.Kill(1, losePower: true);
            cluster.Start(1);
            await cluster.UntilAsync(async () => await cluster.PromiseAsync(1, 2) is not null);
            cluster.Kill(1);
            cluster.Start(1);

            PromiseReply? promise = null;
            await cluster.UntilAsync(async () => (promise = await cluster.PromiseAsync(1, 3)) is not null);
            var grant = await cluster.GrantAsync(1, 3, members: [1]);

            Assert.True(promise!.Suspect);
            Assert.Equal(Status.Stale, grant!.Status);
        });
    }

    [Fact]
    public void A_suspect_replica_is_clean_again_when_the_living_primary_has_shown_it_its_log()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync(durability: Durability.Memory);
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            await cluster.AppendAsync(0, 5, 1, 1, "soft");
            cluster.Kill(1, losePower: true);
            cluster.Start(1);

            // The view that it had voted for is never installed again: a new attempt is, and ends the chunk.
            AppendReply? reply = null;
            await cluster.UntilAsync(async () => (reply = await cluster.AppendAsync(0, 5, 1, 2, "again")) is { Status: AppendStatus.Sealed });
            await cluster.PassAsync(TimeSpan.FromMilliseconds(100));

            var replica = (await cluster.InspectAsync(1))!.Report;
            Assert.False(replica.Suspect);
            Assert.Equal(1u, new Ballot(replica.LastView).Attempt);
            Assert.Equal(["soft"], await cluster.RecordsAsync(1));
        });
    }

    [Fact]
    public void A_read_waits_for_the_next_record()
    {
        var cluster = new ScriptedCluster();
        cluster.Run(async () =>
        {
            await cluster.CreateAsync();
            await cluster.GrantAsync(0, 1);
            await cluster.InitAsync(0, 5, 1);
            var read = cluster.CallAsync<ReadFramesReply>(ScriptedCluster.Server(0), MessageKind.ReadFrames,
                new ReadFramesRequest { Handle = ScriptedCluster.Handle, Offset = FrameHeader.Size, MaxBytes = 1000, WaitMs = 900 });

            await cluster.PassAsync(TimeSpan.FromMilliseconds(100));
            Assert.False(read.IsCompleted);
            await cluster.AppendAsync(0, 5, 1, 1, "awaited");

            Assert.True((await read)!.Committed > FrameHeader.Size);
        });
    }
}
