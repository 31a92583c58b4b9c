using System.Globalization;
using Semel.Cli.Clusters;
using Semel.Cli.Commands.Bench.Machine;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>
/// Measures appends: the machine's limits if wanted, a cluster, a warm-up on files of its own, then the runs. With readers each run is made twice, without and
/// with them, one after the other, so that the two can be compared.
/// </summary>
internal sealed class AppendBench(CommandContext context, BenchOptions options)
{
    public async Task<int> RunAsync()
    {
        using var pages = options.WarmMemory > 0 ? PageCache.Fill(options.WarmMemory, context.Cancellation) : null;
        var machine = options.Machine ? await MachineLimits.MeasureAsync(context.Time, context.Cancellation) : null;
        await using var cluster = options.Master is null
            ? await TemporaryCluster.StartAsync(options.ChunkServers, [$"chunk_size={options.ChunkSize}"], [], context.Time, context.Cancellation)
            : null;
        await using var client = SemelClient.Connect(options.Master ?? cluster!.Master, new SemelClientOptions { OperationTimeout = context.Timeout ?? TimeSpan.FromSeconds(30) });
        var run = new BenchRun(context, options, client, new UsageMeter(cluster));
        string directory = string.Create(CultureInfo.InvariantCulture, $"/bench/{context.Time.GetUtcNow().ToUnixTimeMilliseconds()}-{Environment.ProcessId}");
        if (options.WarmUp > TimeSpan.Zero)
            await run.WarmUpAsync(directory + "/warm-up");

        var alone = new List<RunResult>();
        var followed = new List<RunResult>();
        for (int i = 0; i < options.Runs; i++)
        {
            alone.Add(await run.MeasureAsync(string.Create(CultureInfo.InvariantCulture, $"{directory}/run-{i}"), 0));
            if (options.Readers > 0)
                followed.Add(await run.MeasureAsync(string.Create(CultureInfo.InvariantCulture, $"{directory}/followed-{i}"), options.Readers));
        }
        if (cluster is null)
            await client.DeleteAsync(directory, recursive: true, context.Cancellation);

        var report = options.Readers > 0 ? BenchReport.OfTail(options, followed, alone, machine) : BenchReport.OfAppend(options, alone, machine);
        context.Streams.WriteLine(context.Json ? report.ToJson() : report.ToText());
        return ExitCode.Done;
    }
}
