using System.Text;
using Semel.Client;
using Semel.Protocol.Frames;
using Semel.Protocol.Messages;

namespace Semel.Tests.Client;

/// <summary>What a writer promises while nothing goes wrong.</summary>
public sealed class AppendTests
{
    private static ReadOnlyMemory<byte> Bytes(string text) => Encoding.UTF8.GetBytes(text);

    [Fact]
    public void An_append_completes_with_the_records_place()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Name = "w" });

            var first = await writer.AppendAsync(Bytes("a"));
            var second = await writer.AppendAsync(Bytes("bc"));

            Assert.Equal(new RecordPosition(0, 0, 0, PretendCluster.FileId), first.Position);
            Assert.Equal(64, first.OffsetInFile);
            Assert.Equal(1UL, first.Sequence);
            Assert.False(first.Replayed);
            Assert.Equal(new RecordPosition(0, 72, 0, PretendCluster.FileId), second.Position);
            Assert.Equal(2UL, second.Sequence);
            Assert.Equal($"{writer.WriterId}.{writer.Epoch}.2", second.Operation.ToString());
            Assert.Equal(2UL, writer.LastSequence);
        });
        Assert.Equal(["a", "bc"], cluster.Texts());
    }

    [Fact]
    public void An_empty_record_is_a_record()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            await writer.AppendAsync(default);
        });
        Assert.Equal([""], cluster.Texts());
    }

    [Fact]
    public void A_record_is_copied_before_the_call_returns()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            var buffer = Encoding.UTF8.GetBytes("before");

            var append = writer.AppendAsync(buffer);
            buffer.AsSpan().Fill((byte)'x');
            await append;
        });
        Assert.Equal(["before"], cluster.Texts());
    }

    [Fact]
    public void A_lone_record_leaves_at_once_and_load_makes_batches_grow()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            for (int i = 0; i < 1000; i++)
                await writer.EnqueueAsync(Bytes($"{i}"));
            await writer.FlushAsync();
        });

        Assert.Equal([1U, 999U], cluster.Appends.Select(a => a.RecordCount));
        Assert.Equal(1, cluster.MostInFlight);
        Assert.Equal(Enumerable.Range(0, 1000).Select(i => $"{i}"), cluster.Texts());
    }

    [Fact]
    public void Beside_others_a_batch_leaves_when_it_is_long_or_cannot_grow()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            await writer.EnqueueAsync(Bytes("alone"));
            for (int i = 0; i < 70; i++)
                await writer.EnqueueAsync(new byte[1020]);      // 1 KiB with its length
            var atomic = writer.AppendBatchAsync([Bytes("a"), Bytes("b")]);
            await writer.EnqueueAsync(Bytes("last"));
            await writer.FlushAsync();
            await atomic;
        });

        // 64 KiB leave beside the first; three are in flight then, and what comes next is closed by the atomic batch, which cannot grow either.
        Assert.Equal([1U, 64U, 6U, 2U, 1U], cluster.Appends.Select(a => a.RecordCount));
        Assert.Equal(3, cluster.MostInFlight);
    }

    [Fact]
    public void A_batch_holds_at_most_65535_records()
    {
        var cluster = new PretendCluster { Capacity = ChunkLimits.DefaultCapacity };
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { MaxInFlightBatches = 1 });
            for (int i = 0; i < 70_000; i++)
                await writer.EnqueueAsync(default);
            await writer.FlushAsync();
        });
        Assert.Equal([1U, 65_535U, 4_464U], cluster.Appends.Select(a => a.RecordCount));
    }

    [Fact]
    public void A_record_larger_than_a_batch_travels_alone_and_one_larger_than_a_quarter_chunk_not_at_all()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { MaxBatchBytes = 4096, MaxInFlightBatches = 1 });
            Assert.Equal(256 << 10, writer.MaxRecordBytes);

            var first = writer.AppendAsync(Bytes("a"));
            var small = writer.AppendAsync(Bytes("b"));
            var large = writer.AppendAsync(new byte[256 << 10]);
            var after = writer.AppendAsync(Bytes("c"));
            var tooLarge = await Assert.ThrowsAsync<RecordTooLargeException>(async () => await writer.AppendAsync(new byte[(256 << 10) + 1]));
            await after;

            Assert.Equal(((256 << 10) + 1, 256 << 10), (tooLarge.Length, tooLarge.Limit));
            Assert.False(tooLarge.InDoubt);
            Assert.Equal(3UL, (await large).Sequence);
        });
        Assert.Equal([1U, 1U, 1U, 1U], cluster.Appends.Select(a => a.RecordCount));
    }

    [Fact]
    public void An_atomic_batch_is_one_frame_with_a_result_for_each_record()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            var before = writer.AppendAsync(Bytes("a"));
            var results = await writer.AppendBatchAsync([Bytes("b"), Bytes("cc"), Bytes("d")]);

            Assert.Equal([2UL, 3UL, 4UL], results.Select(r => r.Sequence));
            Assert.Equal([0, 1, 2], results.Select(r => r.Position!.Value.RecordIndex));
            Assert.Single(results.Select(r => r.Position!.Value.FrameOffset).Distinct());
            Assert.Equal(5, results[1].OffsetInFile - results[0].OffsetInFile);
            Assert.Empty(await writer.AppendBatchAsync([]));
            await Assert.ThrowsAsync<RecordTooLargeException>(async () => await writer.AppendBatchAsync([new byte[200 << 10], new byte[100 << 10]]));
            await Assert.ThrowsAsync<ArgumentException>(async () => await writer.AppendBatchAsync(new ReadOnlyMemory<byte>[65_536]));
        });
        Assert.Equal(["a", "b", "cc", "d"], cluster.Texts());
    }

    [Fact]
    public void A_full_buffer_makes_the_next_record_wait_for_room()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { MaxBufferedBytes = 64 << 10 });
            var record = new byte[40 << 10];

            var first = writer.EnqueueAsync(record);
            var second = writer.EnqueueAsync(record);
            var third = writer.AppendAsync(Bytes("x"));

            Assert.True(first.IsCompleted);
            Assert.False(second.IsCompleted);
            Assert.Equal(2UL, (await second).Sequence);
            Assert.Equal(3UL, (await third).Sequence);
        });
        Assert.Equal(3, cluster.Records().Count);
    }

    [Fact]
    public void A_flush_waits_for_what_waits_for_room()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { MaxBufferedBytes = 64 << 10 });
            var waits = new List<Task>();
            for (int i = 0; i < 10; i++)
                waits.Add(writer.EnqueueAsync(new byte[40 << 10]).AsTask());

            await writer.FlushAsync();

            Assert.Equal(10UL, writer.LastSequence);
            Assert.All(waits, w => Assert.True(w.IsCompletedSuccessfully));
        });
    }

    [Fact]
    public void A_writer_that_is_opened_again_goes_on_after_its_last_sequence()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            RecordWriter first;
            await using (first = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Name = "w" }))
            {
                await writer(first, "a");
                await writer(first, "b");
            }
            await using var again = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Name = "w" });

            Assert.Equal(2UL, again.LastSequence);
            Assert.Equal(first.WriterId, again.WriterId);
            Assert.Equal(first.Epoch + 1, again.Epoch);
            Assert.Equal(3UL, (await again.AppendAsync(Bytes("c"))).Sequence);

            static async Task writer(RecordWriter w, string text) => await w.AppendAsync(Bytes(text));
        });
        Assert.Equal(["a", "b", "c"], cluster.Texts());
    }

    [Fact]
    public void Sequences_of_the_callers_make_an_import_repeatable()
    {
        string[] lines = ["one", "two", "three", "four"];
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            for (int upTo = 1; upTo <= lines.Length; upTo++)
            {
                await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Name = "import" });
                for (int line = 1; line <= upTo; line++)
                {
                    var result = await writer.AppendAsync((ulong)line, Bytes(lines[line - 1]));
                    Assert.Equal(line < upTo, result.Replayed);
                    Assert.Equal(result.Replayed, result.Comparison is ReplayComparison.Equal);
                    Assert.NotNull(result.Position);
                }
            }
        });
        Assert.Equal(lines, cluster.Texts());
    }

    [Fact]
    public void A_sequence_that_is_not_the_next_one_is_the_callers_mistake()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            await writer.AppendAsync(1, Bytes("a"));

            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await writer.AppendAsync(3, Bytes("c")));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await writer.AppendAsync(1, Bytes("a")));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await writer.AppendAsync(0, Bytes("a")));
            await writer.AppendAsync(2, Bytes("b"));
        });
        Assert.Equal(["a", "b"], cluster.Texts());
    }

    [Fact]
    public void An_at_least_once_writer_has_no_name_and_no_sequences()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { Delivery = Delivery.AtLeastOnce });
            var result = await writer.AppendAsync(Bytes("a"));

            Assert.Equal((0UL, 0U, 0UL), (result.Operation.Writer.Value, result.Operation.Epoch, result.Sequence));
            Assert.Equal(0UL, writer.LastSequence);
            Assert.NotNull(result.Position);
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await writer.AppendAsync(1, Bytes("a")));
        });
        Assert.DoesNotContain(cluster.Calls, c => c.Kind is MessageKind.RegisterWriter or MessageKind.InitWriter);
    }

    [Fact]
    public void A_full_chunk_is_followed_by_the_next_one()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await using var writer = await client.OpenWriterAsync(PretendCluster.Path);
            for (int i = 0; i < 20; i++)
                await writer.EnqueueAsync(new byte[200 << 10]);
            await writer.FlushAsync();
        });

        Assert.Equal(Enumerable.Range(1, 20).Select(i => (ulong)i), cluster.Records().Select(r => r.Sequence));
        Assert.Equal(4, cluster.Chunks.Count);
    }

    [Fact]
    public void Options_out_of_range_are_refused_with_the_value()
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            foreach (var options in new WriterOptions[]
            {
                new() { MaxInFlightBatches = 6 },
                new() { MaxBufferedBytes = 1 },
                new() { MaxBatchBytes = 2 << 20 },
                new() { AppendTimeout = TimeSpan.Zero },
                new() { Name = "" },
                new() { Name = new string('n', 129) },
                new() { Name = "w", Delivery = Delivery.AtLeastOnce },
            })
                await Assert.ThrowsAnyAsync<ArgumentException>(() => client.OpenWriterAsync(PretendCluster.Path, options));
            Assert.Contains("6", (await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
                () => client.OpenWriterAsync(PretendCluster.Path, new WriterOptions { MaxInFlightBatches = 6 }))).Message, StringComparison.Ordinal);
        });
    }
}
