using Semel.Client;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;

namespace Semel.Tests.Scenarios;

/// <summary>What became of an append whose answer was lost.</summary>
public sealed class OperationStatusTests
{
    [Fact]
    public void A_committed_operation_is_found_at_its_place_in_whatever_chunk_it_is() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var other = await app.OpenWriter("/log", "other");
        var writer = await app.OpenWriter("/log", "ann");
        var placed = new List<AppendResult>();
        for (int i = 1; i <= 40; i++)
        {
            placed.Add(await writer.Append(new string('x', 5000 + i)));
            await other.Append("between");
        }

        foreach (int i in (int[])[1, 7, 20, 39, 40])
        {
            var status = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", (ulong)i));
            Assert.Equal(OperationOutcome.Committed, status.Outcome);
            Assert.Equal(placed[i - 1].Position, status.Record!.Value.Position);
            Assert.Equal(5000 + i, status.Record.Value.Data.Length);
        }
        Assert.True(placed[^1].Position!.Value.ChunkIndex >= 3);
        await writer.Append("the writer was not disturbed");
    });

    [Fact]
    public void An_operation_that_is_not_in_the_file_is_fenced_out_of_it() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writer = await app.OpenWriter("/log", "ann");
        await writer.Append("1");

        var looked = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", 2, settle: false));
        var settled = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", 2));

        Assert.Equal((OperationOutcome.InDoubt, 1UL), (looked.Outcome, looked.LastSequence));
        Assert.Equal((OperationOutcome.Aborted, 1u), (settled.Outcome, settled.Epoch));
        await Assert.ThrowsAsync<WriterFencedException>(() => writer.Append("2"));
        Assert.Equal(["1"], await s.Records("/log"));
    });

    [Fact]
    public void What_a_dead_writer_left_in_doubt_is_settled() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        var dying = s.NewClient("dying");
        await app.Create("/log");
        var writer = await dying.OpenWriter("/log", "ann");
        // The record is committed, and the writer dies without having heard of it.
        s.Cluster.Network.DropReply = call => call.Kind == MessageKind.Append;
        _ = writer.Append("1");
        await s.Delay(50);
        dying.Process.Kill();
        s.Cluster.Network.DropReply = null;

        var first = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", 1));
        var second = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", 2));

        Assert.Equal([OperationOutcome.Committed, OperationOutcome.Aborted], [first.Outcome, second.Outcome]);
    });

    [Fact]
    public void An_operation_of_a_forgotten_writer_is_found_in_the_file_or_nowhere() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        await (await app.OpenWriter("/log", "ann")).Append("1");
        await s.Delay(11_000);
        await app.OpenWriter("/log", "w1");
        await app.OpenWriter("/log", "w2");

        var first = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", 1));
        var second = await app.Do(client => client.GetOperationStatusAsync("/log", "ann", 2));

        Assert.Equal([OperationOutcome.Committed, OperationOutcome.Aborted], [first.Outcome, second.Outcome]);
    }, new ClusterShape { ChunkCapacity = 64 << 10, MaxWritersPerFile = 2, WriterTimeToLive = TimeSpan.FromSeconds(10) });

    [Fact]
    public void A_name_that_the_file_does_not_know_is_an_error() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");

        var unknown = await Assert.ThrowsAsync<WriterNotFoundException>(() => app.Do(client => client.GetOperationStatusAsync("/log", "bob", 1)));
        await Assert.ThrowsAsync<PathNotFoundException>(() => app.Do(client => client.GetOperationStatusAsync("/other", "bob", 1)));

        Assert.Contains("'bob'", unknown.Message);
    });
}
