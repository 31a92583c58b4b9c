using Semel.Client;

namespace Semel.Tests.Scenarios;

/// <summary>
/// An import that is run again, with the source of before or with another one, whatever happened to the cluster meanwhile.
/// </summary>
public sealed class RepeatedImportTests
{
    /// <summary>8 KiB, so that the batches that a file remembers lie in more than one chunk of 64 KiB.</summary>
    private static string Large(int number) => $"{number} " + new string((char)('a' + number % 26), 8 << 10);

    /// <summary>Appends 20 records one at a time; the writer's process is gone then.</summary>
    private static async Task<List<AppendResult>> ImportAsync(Scenario s)
    {
        var client = s.NewClient("first");
        await client.Create("/log");
        var writer = await client.OpenWriter("/log", "import");
        var results = new List<AppendResult>();
        for (int i = 1; i <= 20; i++)
            results.Add(await writer.Append((ulong)i, Large(i)));
        client.Process.Kill();
        Assert.NotEqual(results[12].Position!.Value.ChunkIndex, results[19].Position!.Value.ChunkIndex);
        return results;
    }

    [Fact]
    public void What_a_writer_repeats_is_compared_in_whatever_chunk_it_is_after_the_crash_of_a_primary() => Scenario.Play(async s =>
    {
        var before = await ImportAsync(s);
        (await s.PrimaryOf("/log")).Kill();
        var again = await s.NewClient("second").OpenWriter("/log", "import");

        Assert.Equal((20UL, 13UL), (again.LastSequence, again.ComparableFrom));
        for (int i = 1; i <= 20; i++)
        {
            var result = await again.Append((ulong)i, Large(i));
            Assert.Equal((true, i < 13 ? ReplayComparison.Forgotten : ReplayComparison.Equal), (result.Replayed, result.Comparison));
            Assert.Equal(i < 13 ? null : before[i - 1].Position, result.Position);
        }
        await again.Append(21, "21");

        Assert.Equal([.. Enumerable.Range(1, 20).Select(Large), "21"], await s.Records("/log"));
    });

    [Fact]
    public void Another_source_is_found_out_and_nothing_of_it_is_appended_after_a_restart_of_everything() => Scenario.Play(async s =>
    {
        await ImportAsync(s);
        foreach (var server in s.Cluster.Servers.Prepend(s.Cluster.Master))
            server.LosePower();
        foreach (var server in s.Cluster.Servers.Prepend(s.Cluster.Master))
            server.Start();
        var again = await s.NewClient("second").OpenWriter("/log", "import");

        var sound = again.Append(16, Large(16));
        var other = again.Append(17, "another source");
        var next = again.Append(21, "21");

        var failure = await Assert.ThrowsAsync<OperationIdReusedException>(() => other);
        Assert.Equal(17UL, failure.Sequence);
        Assert.False((await Assert.ThrowsAsync<OperationIdReusedException>(() => next)).InDoubt);
        await Assert.ThrowsAsync<OperationIdReusedException>(() => again.Append(20, Large(20)));
        _ = await Record.ExceptionAsync(() => sound);
        Assert.Equal(Enumerable.Range(1, 20).Select(Large), await s.Records("/log"));
    });

    [Fact]
    public void Starting_anew_gives_the_name_to_a_writer_that_never_was() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var old = await app.OpenWriter("/log", "import");
        await old.Append("1");

        var anew = await app.OpenWriter("/log", "import", o => o.StartAnew = true);
        Assert.Equal((0UL, 1U), (anew.LastSequence, anew.Epoch));
        Assert.NotEqual(old.Id, anew.Id);
        await Assert.ThrowsAsync<WriterFencedException>(() => old.Append("2"));
        await anew.Append(1, "another 1");
        s.Cluster.Master.Kill();
        s.Cluster.Master.Start();

        var resumed = await s.NewClient("second").OpenWriter("/log", "import");
        Assert.Equal((anew.Id, 1UL), (resumed.Id, resumed.LastSequence));
        Assert.Equal(ReplayComparison.Equal, (await resumed.Append(1, "another 1")).Comparison);
        Assert.Equal(["1", "another 1"], await s.Records("/log"));
    });
}
