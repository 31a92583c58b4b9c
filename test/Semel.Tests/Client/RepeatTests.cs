using System.Text;
using Semel.Client;
using Semel.Protocol.Messages;

namespace Semel.Tests.Client;

/// <summary>What a writer does about records that an earlier incarnation of it appended: compares, says that it did not, or ends.</summary>
public sealed class RepeatTests
{
    private static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static Task<RecordWriter> Open(SemelClient client, Action<WriterOptions>? change = null)
    {
        var options = new WriterOptions { Name = "import" };
        change?.Invoke(options);
        return client.OpenWriterAsync(PretendCluster.Path, options);
    }

    /// <summary>Each record in a batch of its own, except that the last two share one; a roll-over in the middle.</summary>
    private static async Task<AppendResult[]> AppendAsync(PretendCluster cluster, SemelClient client, params string[] records)
    {
        var results = new List<AppendResult>();
        await using var writer = await Open(client);
        foreach (string record in records[..^2])
        {
            results.Add(await writer.AppendAsync(Bytes(record)));
            if (results.Count == records.Length / 2)
                cluster.RollOver();
        }
        results.AddRange(await writer.AppendBatchAsync([.. records[^2..].Select(Bytes)]));
        return [.. results];
    }

    [Fact]
    public void What_is_repeated_is_compared_and_gets_its_first_place()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            var before = await AppendAsync(cluster, client, "1", "", "3", "4", "5");
            await using var writer = await Open(client);
            Assert.Equal(1UL, writer.ComparableFrom);
            for (int i = 0; i < 5; i++)
            {
                var result = await writer.AppendAsync((ulong)i + 1, Bytes(new[] { "1", "", "3", "4", "5" }[i]));
                Assert.Equal((true, ReplayComparison.Equal), (result.Replayed, result.Comparison));
                Assert.Equal((before[i].Position, before[i].OffsetInFile, before[i].Time), (result.Position, result.OffsetInFile, result.Time));
            }
            var sixth = await writer.AppendAsync(6, Bytes("6"));
            Assert.Equal((false, ReplayComparison.None), (sixth.Replayed, sixth.Comparison));
        });
        Assert.Equal(["1", "", "3", "4", "5", "6"], cluster.Texts());
    }

    [Theory]
    [InlineData(1, "x")]
    [InlineData(2, "22")]
    [InlineData(3, "")]
    [InlineData(5, "5 and more")]
    public void Other_bytes_end_the_writer_before_anything_new_is_appended(int differing, string text)
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3", "4", "5");
            await using var writer = await Open(client);
            string[] source = ["1", "2", "3", "4", "5", "6", "7"];
            string there = source[differing - 1];
            source[differing - 1] = text;

            // Nobody awaits one append before the next.
            var appends = source.Select((record, i) => writer.AppendAsync((ulong)i + 1, Bytes(record)).AsTask()).ToArray();
            var flush = writer.FlushAsync();

            var failure = await Assert.ThrowsAsync<OperationIdReusedException>(() => appends[differing - 1]);
            Assert.Equal(((ulong?)differing, there), (failure.Sequence, Encoding.UTF8.GetString(failure.RecordInFile!.Value.Span)));
            Assert.Contains($"Sequence {differing} ", failure.Message, StringComparison.Ordinal);
            foreach (var append in appends[5..])
                Assert.False((await Assert.ThrowsAsync<OperationIdReusedException>(() => append)).InDoubt);
            await Assert.ThrowsAsync<OperationIdReusedException>(() => flush);
            await Assert.ThrowsAsync<OperationIdReusedException>(async () => await writer.AppendAsync(6, Bytes("6")));
            await Assert.ThrowsAsync<OperationIdReusedException>(async () => await writer.AppendAsync(1, Bytes("1")));
        });
        Assert.Equal(["1", "2", "3", "4", "5"], cluster.Texts());
    }

    [Fact]
    public void What_is_older_than_the_file_remembers_is_told_and_not_compared()
    {
        var cluster = new PretendCluster { Remembered = 2 };
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3", "4", "5");
            await using var writer = await Open(client);

            Assert.Equal(3UL, writer.ComparableFrom);
            var forgotten = await writer.AppendAsync(2, Bytes("anything"));
            Assert.Equal((true, ReplayComparison.Forgotten, null), (forgotten.Replayed, forgotten.Comparison, forgotten.Position));
            Assert.Equal(ReplayComparison.Equal, (await writer.AppendAsync(3, Bytes("3"))).Comparison);
            await Assert.ThrowsAsync<OperationIdReusedException>(async () => await writer.AppendAsync(4, Bytes("anything")));
        });
    }

    [Fact]
    public void What_cannot_be_read_now_is_told_and_not_compared()
    {
        var cluster = new PretendCluster();
        cluster.Options.OperationTimeout = TimeSpan.FromSeconds(1);
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3", "4");
            cluster.AnswerInstead = (_, header) => header is ReadFramesRequest { Handle: 100 } ? new ReadFramesReply { Status = ReadStatus.ReadNoChunk } : null;
            await using var writer = await Open(client);

            var unread = await writer.AppendAsync(1, Bytes("anything"));
            long begin = cluster.Time.GetTimestamp();
            Assert.Equal(ReplayComparison.Unreadable, (await writer.AppendAsync(2, Bytes("anything"))).Comparison);
            Assert.Equal(TimeSpan.Zero, cluster.Time.GetElapsedTime(begin));    // the chunk is waited for once
            var read = await writer.AppendAsync(4, Bytes("4"));
            await writer.AppendAsync(5, Bytes("5"));

            Assert.Equal((ReplayComparison.Unreadable, true, null), (unread.Comparison, unread.Replayed, unread.Position));
            Assert.Equal(ReplayComparison.Equal, read.Comparison);
        });
        Assert.Equal(["1", "2", "3", "4", "5"], cluster.Texts());
    }

    [Fact]
    public void A_replica_that_lies_is_not_what_is_compared_with()
    {
        var cluster = new PretendCluster { DistortRead = (server, bytes) => server == "cs2:1" ? bytes : [.. bytes.Select(b => (byte)~b)] };
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3", "4");
            await using var writer = await Open(client);

            Assert.Equal(ReplayComparison.Equal, (await writer.AppendAsync(1, Bytes("1"))).Comparison);
            Assert.Equal(ReplayComparison.Equal, (await writer.AppendAsync(4, Bytes("4"))).Comparison);
        });
    }

    [Fact]
    public void A_flush_waits_for_what_is_compared()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3");
            await using var writer = await Open(client);
            cluster.ExtraDelayOf = header => header is ReadFramesRequest ? TimeSpan.FromMilliseconds(300) : TimeSpan.Zero;

            var append = writer.AppendAsync(3, Bytes("3")).AsTask();
            var flush = writer.FlushAsync();
            await cluster.Delay(200);
            Assert.False(flush.IsCompleted);
            await flush;
            Assert.Equal(ReplayComparison.Equal, (await append).Comparison);
        });
    }

    [Fact]
    public void A_cancelled_comparison_says_so_and_the_writer_goes_on()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3");
            await using var writer = await Open(client);
            cluster.ExtraDelayOf = header => header is ReadFramesRequest ? TimeSpan.FromMilliseconds(300) : TimeSpan.Zero;
            using var stop = new CancellationTokenSource();

            var append = writer.AppendAsync(3, Bytes("3"), stop.Token).AsTask();
            stop.Cancel();

            var failure = await Assert.ThrowsAsync<AppendCanceledException>(() => append);
            Assert.Equal((true, 3UL), (failure.InDoubt, failure.Operation!.Value.Sequence));
            await writer.AppendAsync(4, Bytes("4"));
            Assert.Equal(ReplayComparison.Equal, (await writer.AppendAsync(3, Bytes("3"))).Comparison);
        });
    }

    [Fact]
    public void Closing_does_not_wait_for_a_comparison_for_ever()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await AppendAsync(cluster, client, "1", "2", "3");
            var writer = await Open(client);
            cluster.FateOf = (kind, _) => kind is MessageKind.ReadFrames ? Fate.Swallowed : Fate.Served;

            var append = writer.AppendAsync(1, Bytes("1")).AsTask();
            await writer.DisposeAsync();

            Assert.Equal(ReplayComparison.Unreadable, (await append).Comparison);
        });
    }

    [Fact]
    public void A_memory_that_contradicts_itself_is_not_believed()
    {
        RememberedBatch of(ulong first, uint records) => new() { FirstSequence = first, RecordCount = records };
        foreach (var batches in new RememberedBatch[][] { [of(1, 2)], [of(3, 1), of(2, 1)], [of(0, 4)], [of(1, 1), of(3, 1)], [of(1, 70_000)], [of(2, 0), of(2, 2)] })
        {
            var cluster = new PretendCluster();
            cluster.Run(async client =>
            {
                await AppendAsync(cluster, client, "1", "2", "3");
                cluster.AnswerInstead = (_, header) => header is InitWriterRequest
                    ? new AppendReply { Status = AppendStatus.Committed, Ballot = cluster.Last.Ballot.Value, LastSequence = 3, Memory = new WriterMemory { Batches = { batches } } }
                    : null;
                await using var writer = await Open(client);

                Assert.Equal(4UL, writer.ComparableFrom);
                Assert.Equal(ReplayComparison.Forgotten, (await writer.AppendAsync(3, Bytes("3"))).Comparison);
            });
        }
    }

    [Fact]
    public void Starting_anew_fences_who_was_there_and_leaves_its_records()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var old = await Open(client);
            await old.AppendAsync(Bytes("1"));
            await using var anew = await Open(client, o => o.StartAnew = true);

            Assert.Equal((0UL, 1UL, 1U), (anew.LastSequence, anew.ComparableFrom, anew.Epoch));
            Assert.NotEqual(old.WriterId, anew.WriterId);
            await Assert.ThrowsAsync<WriterFencedException>(async () => await old.AppendAsync(Bytes("2")));
            Assert.False((await anew.AppendAsync(1, Bytes("other"))).Replayed);
            await using var next = await Open(client);
            Assert.Equal((anew.WriterId, 1UL), (next.WriterId, next.LastSequence));
        });
        Assert.Equal(["1", "other"], cluster.Texts());
    }

    [Fact]
    public void Starting_anew_is_just_opening_for_a_writer_that_has_appended_nothing()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var first = await Open(client, o => o.StartAnew = true);
            await using var second = await Open(client, o => o.StartAnew = true);

            Assert.Equal((first.WriterId, first.Epoch + 1), (second.WriterId, second.Epoch));
            await Assert.ThrowsAsync<ArgumentException>(() => client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { StartAnew = true }));
        });
    }
}
