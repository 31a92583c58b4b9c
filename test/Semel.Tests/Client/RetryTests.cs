using System.Globalization;
using System.Text;
using Semel.Client;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Client;

/// <summary>What a writer does about each answer that is not an acknowledgement, and about none (docs/internals/record-append.md, client rules).</summary>
public sealed class RetryTests
{
    private static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static Task<RecordWriter> Open(SemelClient client, WriterOptions? options = null) =>
        client.OpenWriterAsync(PretendCluster.Path, options ?? new WriterOptions { Name = "w" });

    /// <summary>The n-th append (from 1) gets this answer instead of being carried out.</summary>
    private static void AnswerAppend(PretendCluster cluster, int n, Func<AppendRequest, AppendReply> answer)
    {
        int count = 0;
        cluster.AnswerInstead = (_, header) => header is AppendRequest append && ++count == n ? answer(append) : null;
    }

    private static void FateOfAppend(PretendCluster cluster, int n, Fate fate)
    {
        int count = 0;
        cluster.FateOf = (_, header) => header is AppendRequest && ++count == n ? fate : Fate.Served;
    }

    [Theory]
    [InlineData(Fate.AnswerLost)]
    [InlineData(Fate.AnswerSwallowed)]
    [InlineData(Fate.RequestLost)]
    [InlineData(Fate.Swallowed)]
    internal void What_gets_no_answer_is_sent_again_with_the_same_id_and_bytes_and_is_there_once(Fate fate)
    {
        var cluster = new PretendCluster();
        FateOfAppend(cluster, 2, fate);
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
            var second = await writer.AppendAsync(Bytes("b"));
            await writer.AppendAsync(Bytes("c"));

            Assert.Equal(2UL, second.Sequence);
            Assert.Equal(new RecordPosition(0, 72, 0, PretendCluster.FileId), second.Position);
            Assert.False(second.Replayed);
        });

        Assert.Equal(["a", "b", "c"], cluster.Texts());
        var sendings = cluster.Calls.Where(c => c.Header is AppendRequest { FirstSequence: 2 }).ToArray();
        Assert.Equal(2, sendings.Length);
        Assert.Equal(sendings[0].Payload, sendings[1].Payload);
        Assert.Equal(((AppendRequest)sendings[0].Header).PayloadCrc, ((AppendRequest)sendings[1].Header).PayloadCrc);
    }

    [Theory]
    [InlineData(AppendStatus.Retry)]
    [InlineData(AppendStatus.NotPrimary)]
    [InlineData(AppendStatus.Busy)]
    [InlineData(AppendStatus.Sealed)]
    internal void After_a_refusal_for_now_everything_unacknowledged_is_sent_again_in_order(AppendStatus status)
    {
        var cluster = new PretendCluster();
        AnswerAppend(cluster, 1, _ => new AppendReply { Status = status, Ballot = cluster.Last.Ballot.Value });
        cluster.Run(async client =>
        {
            await using var writer = await Open(client, new WriterOptions { MaxInFlightBatches = 5, BytesWorthAMessage = 1 });
            for (int i = 1; i <= 8; i++)
                await writer.EnqueueAsync(Bytes($"{i}"));
            await writer.FlushAsync();
        });

        Assert.Equal(["1", "2", "3", "4", "5", "6", "7", "8"], cluster.Texts());
        Assert.Equal([1UL, 2UL, 3UL, 4UL, 5UL, 1UL, 2UL, 3UL, 4UL, 5UL, 6UL], cluster.Appends.Select(a => a.FirstSequence));
    }

    [Fact]
    public void The_master_is_told_of_a_primary_that_is_none_and_not_of_one_that_could_not_decide()
    {
        foreach (var (status, isSuspect) in new[] { (AppendStatus.NotPrimary, true), (AppendStatus.Retry, false), (AppendStatus.Sealed, false) })
        {
            var cluster = new PretendCluster();
            AnswerAppend(cluster, 1, _ => new AppendReply { Status = status, Ballot = cluster.Last.Ballot.Value });
            cluster.Run(async client =>
            {
                await using var writer = await Open(client);
                await writer.AppendAsync(Bytes("a"));
            });
            var question = cluster.TailQuestions.Last();
            Assert.Equal(isSuspect ? (100UL, 1UL) : (0UL, 0UL), (question.SuspectHandle, question.SuspectVersion));
        }
    }

    [Fact]
    public void One_late_answer_raises_a_question_and_the_second_in_a_row_a_suspicion()
    {
        var cluster = new PretendCluster();
        int count = 0;
        cluster.FateOf = (_, header) => header is AppendRequest && ++count <= 2 ? Fate.Swallowed : Fate.Served;
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
        });
        Assert.Equal([0UL, 0UL, 100UL], cluster.TailQuestions.Select(q => q.SuspectHandle));
    }

    [Fact]
    public void A_new_primary_gets_what_the_old_one_left_in_doubt()
    {
        var cluster = new PretendCluster();
        int count = 0;
        cluster.FateOf = (_, header) =>
        {
            if (header is not AppendRequest || ++count != 3)
                return Fate.Served;
            cluster.ChangeView();
            return Fate.RequestLost;
        };
        cluster.Run(async client =>
        {
            await using var writer = await Open(client, new WriterOptions { MaxInFlightBatches = 1 });
            for (int i = 1; i <= 5; i++)
                await writer.AppendAsync(Bytes($"{i}"));
        });

        Assert.Equal(["1", "2", "3", "4", "5"], cluster.Texts());
        Assert.Equal("cs1:1", cluster.Calls.Last(c => c.Kind == MessageKind.Append).Address);
        Assert.Equal(Ballot.OfVersion(2).Value, cluster.Appends.Last().KnownBallot);
    }

    [Fact]
    public void The_next_chunk_gets_what_the_sealed_one_refused()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await Open(client, new WriterOptions { MaxInFlightBatches = 5, BytesWorthAMessage = 1 });
            await writer.AppendAsync(Bytes("0"));
            cluster.RollOver();
            var appends = Enumerable.Range(1, 6).Select(i => writer.AppendAsync(Bytes($"{i}")).AsTask()).ToArray();
            foreach (var append in appends)
                Assert.Equal(1UL, (await append).Position!.Value.ChunkIndex);
        });
        Assert.Equal(["0", "1", "2", "3", "4", "5", "6"], cluster.Texts());
    }

    [Fact]
    public void A_batch_that_was_committed_before_its_chunk_was_sealed_keeps_its_place()
    {
        var cluster = new PretendCluster();
        FateOfAppend(cluster, 1, Fate.AnswerLost);
        int questions = 0;
        cluster.AnswerInstead = (_, header) =>
        {
            if (header is LocateTailRequest && ++questions == 2)
                cluster.RollOver();
            return null;
        };
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            var result = await writer.AppendAsync(Bytes("a"));
            Assert.Equal(new RecordPosition(0, 0, 0, PretendCluster.FileId), result.Position);
        });
        Assert.Equal(101UL, cluster.Appends.Last().Handle);
        Assert.Equal(["a"], cluster.Texts());
    }

    [Fact]
    public void A_batch_whose_place_is_forgotten_is_acknowledged_as_replayed()
    {
        var cluster = new PretendCluster();
        FateOfAppend(cluster, 1, Fate.AnswerLost);
        cluster.AnswerInstead = (_, header) =>
        {
            if (header is LocateTailRequest && cluster.Appends.Any())
                cluster.ForgetPlaces(1);
            return null;
        };
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            var result = await writer.AppendAsync(Bytes("a"));
            Assert.True(result.Replayed);
            Assert.Null(result.Position);
            Assert.Equal(1UL, result.Sequence);
            Assert.Equal(2UL, (await writer.AppendAsync(Bytes("b"))).Sequence);
        });
        Assert.Equal(["a", "b"], cluster.Texts());
    }

    [Theory]
    [InlineData(AppendStatus.OutOfOrder)]
    [InlineData(AppendStatus.UnknownWriter)]
    internal void A_replaced_primary_is_not_believed(AppendStatus status)
    {
        var cluster = new PretendCluster();
        cluster.Last.Ballot = Ballot.OfVersion(5);
        AnswerAppend(cluster, 2, _ => new AppendReply { Status = status, Ballot = Ballot.OfVersion(4).Value });
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
            await writer.AppendAsync(Bytes("b"));
        });
        Assert.Equal(["a", "b"], cluster.Texts());
        Assert.Equal(5UL, cluster.TailQuestions.Last().SuspectVersion);
    }

    [Fact]
    public void The_highest_ballot_that_was_met_goes_with_every_append()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
            cluster.Last.Ballot = cluster.Last.Ballot.NextAttempt();
            await writer.AppendAsync(Bytes("b"));
            await writer.AppendAsync(Bytes("c"));
        });
        var first = Ballot.OfVersion(1);
        Assert.Equal([first.Value, first.Value, first.NextAttempt().Value], cluster.Appends.Select(a => a.KnownBallot));
    }

    [Fact]
    public void A_writer_that_the_file_forgot_ends_as_expired()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
            cluster.Forget(1);
            await Assert.ThrowsAsync<WriterExpiredException>(async () => await writer.AppendAsync(Bytes("b")));
            await Assert.ThrowsAsync<WriterExpiredException>(async () => await writer.AppendAsync(Bytes("c")));
            await Assert.ThrowsAsync<WriterExpiredException>(() => writer.FlushAsync());
        });
        Assert.Equal(["a"], cluster.Texts());
    }

    [Fact]
    public void A_writer_that_was_taken_over_ends_as_fenced_and_its_records_are_aborted()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
            await using var other = await Open(client);
            var appends = Enumerable.Range(0, 5).Select(i => writer.AppendAsync(Bytes($"late {i}")).AsTask()).ToArray();
            foreach (var append in appends)
                Assert.False((await Assert.ThrowsAsync<WriterFencedException>(() => append)).InDoubt);
            Assert.Equal(1UL, other.LastSequence);
            await other.AppendAsync(Bytes("b"));
        });
        Assert.Equal(["a", "b"], cluster.Texts());
    }

    [Fact]
    public void A_batch_that_got_no_answer_before_it_was_fenced_is_in_doubt()
    {
        var cluster = new PretendCluster();
        FateOfAppend(cluster, 1, Fate.AnswerLost);
        cluster.AnswerInstead = (_, header) =>
        {
            if (header is LocateTailRequest && cluster.Appends.Any())
                cluster.Fence(1);
            return null;
        };
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            var doubt = await Assert.ThrowsAsync<AppendInDoubtException>(async () => await writer.AppendAsync(Bytes("a")));

            Assert.Equal([new OperationId(new WriterId(1), 1, 1)], doubt.Operations);
            Assert.IsType<WriterFencedException>(doubt.InnerException);
        });
        Assert.Equal(["a"], cluster.Texts());
    }

    [Theory]
    [InlineData(MessageKind.LocateTail)]
    [InlineData(MessageKind.RegisterWriter)]
    internal void What_was_never_sent_to_a_chunk_server_is_not_in_doubt_because_the_master_was_silent(MessageKind silent)
    {
        var cluster = new PretendCluster { FateOf = (kind, _) => kind == silent ? Fate.Swallowed : Fate.Served };
        cluster.Options.OperationTimeout = TimeSpan.FromSeconds(3);
        cluster.Run(async client =>
        {
            var failure = await Assert.ThrowsAsync<ClusterUnavailableException>(async () =>
            {
                await using var writer = await Open(client);
                await writer.AppendAsync(Bytes("a"));
            });

            Assert.False(failure.InDoubt);
        });
        Assert.Empty(cluster.Appends);
    }

    [Theory]
    [InlineData(AppendStatus.OperationIdReused, typeof(OperationIdReusedException))]
    [InlineData(AppendStatus.Refused, typeof(AppendRefusedException))]
    [InlineData(AppendStatus.TooManyWriters, typeof(TooManyWritersException))]
    [InlineData(AppendStatus.TooBig, typeof(RecordTooLargeException))]
    internal void A_refusal_that_nothing_can_change_ends_the_writer(AppendStatus status, Type type)
    {
        var cluster = new PretendCluster();
        AnswerAppend(cluster, 1, _ => new AppendReply { Status = status, Ballot = cluster.Last.Ballot.Value });
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            var failure = await Assert.ThrowsAnyAsync<SemelException>(async () => await writer.AppendAsync(Bytes("a")));
            Assert.IsType(type, failure);
            Assert.False(failure.InDoubt);
            Assert.False(failure.IsRetryable);
            Assert.IsType(type, await Assert.ThrowsAnyAsync<SemelException>(async () => await writer.EnqueueAsync(Bytes("b"))));
        });
        Assert.Empty(cluster.Texts());
    }

    [Fact]
    public void A_cluster_that_forgot_acknowledged_records_is_found_out()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            await writer.AppendAsync(Bytes("a"));
            await writer.AppendAsync(Bytes("b"));
            cluster.Rewind(1, 1);
            await Assert.ThrowsAsync<AcknowledgedRecordsLostException>(async () => await writer.AppendAsync(Bytes("c")));
        });
    }

    [Fact]
    public void A_deleted_file_ends_its_writers()
    {
        var cluster = new PretendCluster();
        bool deleted = false;
        cluster.AnswerInstead = (_, header) => !deleted ? null : header switch
        {
            AppendRequest => new AppendReply { Status = AppendStatus.NotPrimary },
            LocateTailRequest => new LocateTailReply { Status = Status.NotFound },
            _ => null,
        };
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            deleted = true;
            var doubt = await Assert.ThrowsAsync<AppendInDoubtException>(async () => await writer.AppendAsync(Bytes("a")));
            Assert.IsType<PathNotFoundException>(doubt.InnerException);
            await Assert.ThrowsAsync<PathNotFoundException>(async () => await writer.AppendAsync(Bytes("b")));
        });
    }

    [Fact]
    public void A_writer_waits_through_a_long_outage()
    {
        var cluster = new PretendCluster();
        bool isOut = false;
        cluster.FateOf = (_, _) => isOut ? Fate.Swallowed : Fate.Served;
        cluster.Run(async client =>
        {
            await using var writer = await Open(client);
            isOut = true;
            var append = writer.AppendAsync(Bytes("a")).AsTask();
            await cluster.Delay(300_000);
            Assert.False(append.IsCompleted);
            isOut = false;
            await append;
        });
        Assert.Equal(["a"], cluster.Texts());
    }

    [Fact]
    public void After_the_append_timeout_the_record_is_in_doubt_and_the_writer_keeps_trying()
    {
        var cluster = new PretendCluster();
        bool isOut = false;
        cluster.FateOf = (_, _) => isOut ? Fate.RequestLost : Fate.Served;
        cluster.Run(async client =>
        {
            await using var writer = await Open(client, new WriterOptions { Name = "w", AppendTimeout = TimeSpan.FromSeconds(1) });
            isOut = true;
            var doubt = await Assert.ThrowsAsync<AppendInDoubtException>(async () => await writer.AppendAsync(Bytes("a")));
            Assert.Equal(1UL, Assert.Single(doubt.Operations).Sequence);
            Assert.Empty(cluster.Texts());
            isOut = false;
            await writer.FlushAsync();
            Assert.Equal(1UL, writer.LastSequence);
        });
        Assert.Equal(["a"], cluster.Texts());
    }

    [Fact]
    public void Cancelling_says_whether_the_record_was_taken()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await Open(client, new WriterOptions { Name = "w", MaxBufferedBytes = 64 << 10 });
            using var stop = new CancellationTokenSource();
            var taken = writer.AppendAsync(new byte[60 << 10], stop.Token).AsTask();
            var waiting = writer.AppendAsync(new byte[60 << 10], stop.Token).AsTask();
            stop.Cancel();
            var late = writer.AppendAsync(Bytes("x"), stop.Token).AsTask();

            var takenEnd = await Assert.ThrowsAsync<AppendCanceledException>(() => taken);
            var waitingEnd = await Assert.ThrowsAsync<AppendCanceledException>(() => waiting);
            var lateEnd = await Assert.ThrowsAsync<AppendCanceledException>(() => late);

            Assert.True(takenEnd.InDoubt);
            Assert.Equal(1UL, takenEnd.Operation!.Value.Sequence);
            Assert.False(waitingEnd.InDoubt);
            Assert.False(lateEnd.InDoubt);
            Assert.Equal(2UL, (await writer.AppendAsync(Bytes("y"))).Sequence);
        });
        Assert.Equal(2, cluster.Records().Count);
    }

    [Fact]
    public void Closing_waits_for_a_bounded_time_and_leaves_the_rest_in_doubt()
    {
        var cluster = new PretendCluster();
        bool isOut = false;
        cluster.FateOf = (_, _) => isOut ? Fate.RequestLost : Fate.Served;
        cluster.Run(async client =>
        {
            var writer = await Open(client, new WriterOptions { MaxInFlightBatches = 1 });
            isOut = true;
            var sent = writer.AppendAsync(Bytes("a")).AsTask();
            var unsent = writer.AppendAsync(Bytes("b")).AsTask();
            var start = cluster.World.Now;
            await writer.DisposeAsync();

            Assert.InRange(cluster.World.Now - start, TimeSpan.FromSeconds(29), TimeSpan.FromSeconds(31));
            var doubt = await Assert.ThrowsAsync<AppendInDoubtException>(() => sent);
            Assert.IsType<WriterClosedException>(doubt.InnerException);
            await Assert.ThrowsAsync<WriterClosedException>(() => unsent);
            await Assert.ThrowsAsync<WriterClosedException>(async () => await writer.AppendAsync(Bytes("c")));
        });
    }

    [Fact]
    public void Opening_a_writer_survives_lost_answers_and_gives_up_in_time_with_a_reason()
    {
        var cluster = new PretendCluster();
        var fates = new Queue<Fate>([Fate.AnswerLost, Fate.Served, Fate.RequestLost, Fate.AnswerLost]);
        cluster.FateOf = (_, _) => fates.TryDequeue(out var fate) ? fate : Fate.Served;
        cluster.Run(async client =>
        {
            await using (var writer = await Open(client))
                Assert.Equal(2U, writer.Epoch);
            cluster.FateOf = (kind, _) => kind == MessageKind.InitWriter ? Fate.RequestLost : Fate.Served;
            var failure = await Assert.ThrowsAsync<ClusterUnavailableException>(() => Open(client));
            Assert.Contains("cs0:1", failure.Message, StringComparison.Ordinal);
            Assert.True(failure.IsRetryable);
        });
    }

    /// <summary>Everything at once, from a seed: requests and answers lost, late and out of order, views changing, chunks rolling over.</summary>
    [Fact]
    public void Whatever_gets_lost_every_record_is_there_once_and_in_order()
    {
        for (ulong seed = 1; seed <= 60; seed++)
        {
            var cluster = new PretendCluster(seed) { Disorder = TimeSpan.FromMilliseconds(3) };
            var random = cluster.World.Random.Fork();
            bool calm = false;
            cluster.FateOf = (kind, _) =>
            {
                if (calm || kind == MessageKind.RegisterWriter)
                    return Fate.Served;
                switch (random.Below(40))
                {
                    case 0:
                        cluster.ChangeView();
                        return Fate.Served;
                    case 1:
                        cluster.RollOver();
                        return Fate.Served;
                    default:
                        return random.Below(5) == 0 ? (Fate)random.Below(5) : Fate.Served;
                }
            };
            cluster.Run(async client =>
            {
                await using var writer = await Open(client, new WriterOptions { Name = "w", MaxInFlightBatches = 4, MaxBatchBytes = 4096, MaxBufferedBytes = 64 << 10 });
                for (int i = 1; i <= 300; i++)
                {
                    await writer.EnqueueAsync(Bytes(i.ToString("D64", CultureInfo.InvariantCulture)));
                    if (random.Below(4) == 0)
                        await cluster.Delay(1);
                }
                await writer.FlushAsync();
                calm = true;
            });
            Assert.Equal(Enumerable.Range(1, 300).Select(i => i.ToString("D64", CultureInfo.InvariantCulture)), cluster.Texts());
        }
    }
}
