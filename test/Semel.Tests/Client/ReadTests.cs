using System.Text;
using Semel.Client;
using Semel.Protocol.Messages;

namespace Semel.Tests.Client;

/// <summary>What a reader promises.</summary>
public sealed class ReadTests
{
    private static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static async Task<List<SemelRecord>> ReadAsync(SemelClient client, ReadOptions? options = null)
    {
        var records = new List<SemelRecord>();
        await foreach (var record in client.ReadRecordsAsync(PretendCluster.Path, options))
            records.Add(record);
        return records;
    }

    private static string[] Texts(IEnumerable<SemelRecord> records) => [.. records.Select(r => Encoding.UTF8.GetString(r.Data.Span))];

    /// <summary>Nine records in three chunks, some of them in one frame.</summary>
    private static async Task FillAsync(PretendCluster cluster, SemelClient client)
    {
        await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Name = "w" });
        await writer.AppendBatchAsync([Bytes("1"), Bytes("2"), Bytes("3")]);
        await writer.AppendAsync(Bytes("4"));
        cluster.RollOver();
        await writer.AppendBatchAsync([Bytes("5"), Bytes("")]);
        await writer.AppendAsync(Bytes("7"));
        cluster.RollOver();
        await writer.AppendAsync(Bytes("8"));
        await writer.AppendAsync(Bytes("9"));
    }

    private static readonly string[] All = ["1", "2", "3", "4", "5", "", "7", "8", "9"];

    [Fact]
    public void Records_come_in_the_order_of_the_file_with_place_and_writer()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            var records = await ReadAsync(client);

            Assert.Equal(All, Texts(records));
            Assert.Equal(Enumerable.Range(1, 9).Select(i => (ulong)i), records.Select(r => r.Sequence));
            Assert.All(records, r => Assert.Equal((1UL, 1U), (r.WriterId, r.Epoch)));
            Assert.Equal(new RecordPosition(0, 0, 2, PretendCluster.FileId), records[2].Position);
            Assert.Equal(64 + 5 + 5, records[2].OffsetInFile);
            Assert.Equal(cluster.Capacity + 64, records[4].OffsetInFile);
            Assert.Equal(2026, records[0].Time.Year);
        });
    }

    [Fact]
    public void An_appends_result_is_the_place_where_the_record_is_read()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            var results = await writer.AppendBatchAsync([Bytes("a"), Bytes("bb"), Bytes("c")]);
            var records = await ReadAsync(client);

            Assert.Equal(results.Select(r => (r.Position!.Value, r.OffsetInFile!.Value, r.Operation)), records.Select(r => (r.Position, r.OffsetInFile, r.Operation)));
        });
    }

    [Fact]
    public void Reading_goes_on_at_any_record_and_after_it()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            var records = await ReadAsync(client);
            for (int i = 0; i < records.Count; i++)
            {
                var from = RecordPosition.Parse(records[i].Position.ToString());
                Assert.Equal(All[i..], Texts(await ReadAsync(client, new ReadOptions { From = from })));
                Assert.Equal(All[(i + 1)..], Texts(await ReadAsync(client, new ReadOptions { From = from.Next })));
            }
            Assert.Empty(await ReadAsync(client, new ReadOptions { From = RecordPosition.End }));
        });
    }

    [Fact]
    public void Small_blocks_give_the_same_records_as_large_ones()
    {
        var cluster = new PretendCluster();
        cluster.Options.ReadBlockBytes = 4096;
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { MaxBatchBytes = 4096 });
            for (int i = 0; i < 500; i++)
                await writer.EnqueueAsync(new byte[i]);
            await writer.EnqueueAsync(new byte[100_000]);
            await writer.FlushAsync();

            var lengths = (await ReadAsync(client)).Select(r => r.Data.Length);

            Assert.Equal(Enumerable.Range(0, 500).Append(100_000), lengths);
        });
    }

    [Fact]
    public void A_position_that_is_no_record_of_the_file_is_refused()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            foreach (var position in new[] { new RecordPosition(0, 8, 0), new RecordPosition(2, 4096, 0), new RecordPosition(9, 0, 0), new RecordPosition(3, 0, 1) })
            {
                foreach (var from in new[] { position, position with { FileId = PretendCluster.FileId } })
                {
                    var failure = await Assert.ThrowsAsync<InvalidPositionException>(() => ReadAsync(client, new ReadOptions { From = from }));
                    Assert.Equal(from, failure.Position);
                    Assert.Contains(from.ToString(), failure.Message, StringComparison.Ordinal);
                }
            }
        });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_index_behind_the_end_of_its_frame_is_the_next_record_and_anything_beyond_is_refused(bool follow)
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            var records = await ReadAsync(client);
            var three = records[2].Position;                                        // the last of three in its frame
            var sealing = new RecordPosition(0, cluster.Chunks[0].Boundaries[^2], 0);     // the frame that seals the first chunk
            var end = new RecordPosition(2, cluster.Chunks[2].Boundaries[^1], 0);

            Assert.Equal("4", await FirstAsync(three.Next));
            Assert.Equal("5", await FirstAsync(sealing));
            foreach (var nowhere in new[] { three.Next.Next, sealing.Next, end.Next, end with { RecordIndex = 7 }, records[8].Position.Next.Next })
            {
                var failure = await Assert.ThrowsAsync<InvalidPositionException>(() => FirstAsync(nowhere));
                Assert.Equal(nowhere, failure.Position);
            }

            async Task<string> FirstAsync(RecordPosition from)
            {
                await foreach (var record in client.ReadRecordsAsync(PretendCluster.Path, new ReadOptions { From = from, Follow = follow }))
                    return Encoding.UTF8.GetString(record.Data.Span);
                return "";
            }
        });
    }

    [Fact]
    public void A_position_of_another_file_is_refused_where_it_would_fit_too()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            var position = (await ReadAsync(client))[3].Position;

            var failure = await Assert.ThrowsAsync<PositionOfAnotherFileException>(() => ReadAsync(client, new ReadOptions { From = position with { FileId = 4 } }));

            Assert.Equal((4UL, PretendCluster.FileId), (failure.Position.FileId, failure.FileId));
            Assert.Equal(All[3..], Texts(await ReadAsync(client, new ReadOptions { From = position with { FileId = 0 } })));
        });
    }

    [Fact]
    public void A_position_in_a_file_without_chunks_is_refused()
    {
        var cluster = new PretendCluster();
        cluster.Chunks.Clear();
        cluster.Run(async client =>
        {
            foreach (var position in new[] { new RecordPosition(0, 64, 0), new RecordPosition(0, 0, 1) })
                await Assert.ThrowsAsync<InvalidPositionException>(() => ReadAsync(client, new ReadOptions { From = position }));
        });
    }

    [Fact]
    public void An_empty_file_has_no_records()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            Assert.Empty(await ReadAsync(client));
            Assert.Empty(await ReadAsync(client, new ReadOptions { From = RecordPosition.End }));
            cluster.Chunks.Clear();
            Assert.Empty(await ReadAsync(client));
            Assert.Empty(await ReadAsync(client, new ReadOptions { From = RecordPosition.End }));
        });
    }

    [Fact]
    public void Following_goes_on_through_roll_overs_until_cancelled()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            using var stop = new CancellationTokenSource();
            var seen = new List<string>();
            var follower = Task.CompletedTask;
            follower = FollowAsync();
            await FillAsync(cluster, client);
            await cluster.Delay(10_000);
            await FillAsync(cluster, client);
            await cluster.Delay(10_000);

            Assert.Equal([.. All, .. All], seen);
            stop.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => follower);

            async Task FollowAsync()
            {
                await foreach (var record in client.ReadRecordsAsync(PretendCluster.Path, new ReadOptions { Follow = true }, stop.Token))
                    seen.Add(Encoding.UTF8.GetString(record.Data.Span));
            }
        });
    }

    [Fact]
    public void Following_from_the_end_sees_only_what_comes()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            var options = new ReadOptions { From = RecordPosition.End, Follow = true };
            await using var records = client.ReadRecordsAsync(PretendCluster.Path, options).GetAsyncEnumerator();
            var next = records.MoveNextAsync();
            await cluster.Delay(5_000);
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Name = "w" });
            await writer.AppendAsync(Bytes("10"));

            Assert.True(await next);
            Assert.Equal("10", Encoding.UTF8.GetString(records.Current.Data.Span));
        });
    }

    [Fact]
    public void A_replica_whose_bytes_do_not_verify_is_replaced_by_another_one()
    {
        var cluster = new PretendCluster();
        int flip = 0;
        cluster.DistortRead = (address, bytes) =>
        {
            if (address != "cs2:1" && bytes.Length > 0)
                bytes[flip++ * 37 % bytes.Length] ^= 4;
            return bytes;
        };
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            for (int i = 0; i < 20; i++)
                Assert.Equal(All, Texts(await ReadAsync(client)));
        });
    }

    [Fact]
    public void Corruption_of_all_replicas_is_an_error_and_not_an_end()
    {
        var cluster = new PretendCluster();
        cluster.DistortRead = (_, bytes) =>
        {
            bytes[^1] ^= 1;
            return bytes;
        };
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            await Assert.ThrowsAsync<CorruptDataException>(() => ReadAsync(client));
        });
    }

    [Fact]
    public void A_silent_replica_is_replaced_by_another_one()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            cluster.FateOf = (kind, _) => kind == MessageKind.ReadFrames && cluster.Calls[^1].Address == "cs0:1" ? Fate.Swallowed : Fate.Served;
            cluster.AnswerInstead = (_, header) =>
            {
                if (header is LocateTailRequest { SuspectHandle: 102, SuspectVersion: 1 })
                    cluster.ChangeView();
                return null;
            };
            Assert.Equal(All, Texts(await ReadAsync(client)));
            Assert.Equal(2UL, cluster.Last.Ballot.Version);
        });
    }

    [Fact]
    public void The_end_is_believed_only_from_a_replica_that_is_settled()
    {
        var cluster = new PretendCluster();
        bool settled = false;
        cluster.IsSettled = _ => settled;
        cluster.AnswerInstead = (_, header) =>
        {
            settled |= header is LocateTailRequest { SuspectHandle: 102 };
            return null;
        };
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            Assert.Equal(All, Texts(await ReadAsync(client)));
        });
        Assert.True(settled);
    }

    /// <summary>A secondary may not have heard yet of the last record that was acknowledged.</summary>
    [Fact]
    public void The_end_is_believed_only_from_the_primary()
    {
        var cluster = new PretendCluster();
        int refused = 0;
        cluster.AnswerInstead = (address, header) =>
            header is ReadFramesRequest { Handle: 102 } && address == "cs0:1" && refused++ == 0 ? new ReadFramesReply { Status = ReadStatus.ReadBusy } : null;
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            Assert.Equal(All, Texts(await ReadAsync(client)));
        });
        Assert.Equal("cs0:1", cluster.Calls.Last(c => c.Kind == MessageKind.ReadFrames).Address);
        Assert.Contains(cluster.Calls, c => c is { Address: "cs1:1", Header: ReadFramesRequest { Handle: 102 } });
    }

    [Fact]
    public void Reading_gives_up_in_time_when_no_replica_serves()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            cluster.FateOf = (kind, _) => kind == MessageKind.ReadFrames ? Fate.RequestLost : Fate.Served;
            var failure = await Assert.ThrowsAsync<ClusterUnavailableException>(() => ReadAsync(client));
            Assert.True(failure.IsRetryable);
            await Assert.ThrowsAsync<PathNotFoundException>(async () =>
            {
                await foreach (var _ in client.ReadRecordsAsync("/other"))
                {
                }
            });
        });
    }

    [Fact]
    public void A_reader_may_stop_anywhere()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            for (int stopAfter = 1; stopAfter <= 9; stopAfter++)
            {
                int count = 0;
                await foreach (var _ in client.ReadRecordsAsync(PretendCluster.Path, new ReadOptions { Follow = true }))
                {
                    if (++count == stopAfter)
                        break;
                }
            }
        });
    }

    [Fact]
    public void A_stream_is_the_records_one_after_the_other()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await FillAsync(cluster, client);
            await using var stream = client.OpenReadStream(PretendCluster.Path);
            var text = new StringBuilder();
            var buffer = new byte[2];
            for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
                text.Append(Encoding.UTF8.GetString(buffer, 0, read));

            Assert.Equal("12345789", text.ToString());
            Assert.Equal(0, await stream.ReadAsync(buffer));
        });
    }
}
