using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>Tests that count what the whole process does run alone.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneCollection
{
    public const string Name = "alone";
}

[Collection(AloneCollection.Name)]
public sealed class BenchAllocationTests
{
    private const int Burst = 10_000;
    private const int Bursts = 30;

    /// <summary>
    /// Client, primary, both secondaries and the master together: what a batch costs is shared by its records, and a record costs nothing. One object per record, anywhere,
    /// would be 24 bytes at least.
    /// </summary>
    [Theory]
    [InlineData(FileDurability.Memory)]
    [InlineData(FileDurability.Group)]
    public async Task A_record_allocates_nothing_on_its_way_through_a_warm_cluster(FileDurability durability)
    {
        const double MostBytesPerRecord = 12;
        await using var cluster = await ClusterInProcess.StartAsync(TestContext.Current.CancellationToken);
        await using var client = SemelClient.Connect(cluster.Master);
        await client.CreateAsync("/f", new CreateOptions { Durability = durability });
        await using var writer = await client.OpenWriterAsync("/f");
        await AppendAsync(writer, 2 * Bursts);

        double perRecord = double.MaxValue;
        for (int attempt = 0; attempt < 5 && perRecord > MostBytesPerRecord; attempt++)     // a compiler that still works in the background allocates too
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            await AppendAsync(writer, Bursts);
            perRecord = (GC.GetTotalAllocatedBytes(precise: true) - before) / ((double)Bursts * Burst);
        }

        TestContext.Current.SendDiagnosticMessage($"{durability}: {perRecord:0.00} bytes per record");
        Assert.True(perRecord <= MostBytesPerRecord, $"{perRecord:0.00} bytes were allocated per record");
    }

    private static async Task AppendAsync(RecordWriter writer, int bursts)
    {
        var record = new byte[100];
        var underWay = new ValueTask<AppendResult>[Burst];
        for (int burst = 0; burst < bursts; burst++)
        {
            for (int i = 0; i < Burst; i++)
                underWay[i] = writer.AppendAsync(record);
            for (int i = 0; i < Burst; i++)
                await underWay[i];
        }
    }
}
