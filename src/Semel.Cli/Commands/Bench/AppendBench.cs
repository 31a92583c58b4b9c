using System.Globalization;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>
/// Measures appends: a cluster, files, a warm-up on a file of its own, the measured appends in a closed loop, reading back.
/// </summary>
internal sealed class AppendBench(CommandContext context, BenchOptions options)
{
    /// <summary>CPU seconds of the measured part; null: another cluster's processes are not ours to look at.</summary>
    private sealed record CpuSeconds(double Client, double? Chunkservers, double? Master);

    /// <summary>The last line of <c>--json</c>.</summary>
    private sealed record Shape(
        long Records, long Size, int Writers, int Files, int Replicas, string Durability, string Delivery, int Batch, int InFlight,
        double Seconds, double RecordsPerS, double MbPerS, double P50Us, double P99Us, double MaxUs, bool? Verified, CpuSeconds CpuS);

    public async Task<int> RunAsync()
    {
        await using var cluster = options.Master is null
            ? await TemporaryCluster.StartAsync(options.ChunkServers, [$"chunk_size={options.ChunkSize}"], [], context.Time, context.Cancellation)
            : null;
        await using var client = SemelClient.Connect(options.Master ?? cluster!.Master, new SemelClientOptions { OperationTimeout = context.Timeout ?? TimeSpan.FromSeconds(30) });
        string directory = string.Create(CultureInfo.InvariantCulture, $"/bench/{context.Time.GetUtcNow().ToUnixTimeMilliseconds()}-{Environment.ProcessId}");
        if (options.WarmUp > TimeSpan.Zero)
            await WarmUpAsync(client, directory + "/warm-up");

        var paths = Enumerable.Range(0, options.Files).Select(i => string.Create(CultureInfo.InvariantCulture, $"{directory}/file-{i}")).ToArray();
        foreach (string path in paths)
            await CreateAsync(client, path);
        var writers = await OpenAsync(client, paths);

        var cpuBefore = Cpu(cluster);
        long begin = context.Time.GetTimestamp();
        using (ProgressLine.Begin(context, () => Progress(writers, context.Time.GetElapsedTime(begin))))
            await Task.WhenAll(writers.Select(w => w.RunAsync(context.Cancellation)));
        double seconds = context.Time.GetElapsedTime(begin).TotalSeconds;
        var cpu = Difference(Cpu(cluster), cpuBefore);
        foreach (var writer in writers)
            await writer.DisposeAsync();

        string? fault = options.Verify ? await new ReadBack(client, options).FaultOfAsync(paths, writers, context.Cancellation) : null;
        if (fault is not null)
            throw new CommandException(ExitCode.VerificationFailed, $"What was read back is not what was acknowledged: {fault}");
        Report(writers, seconds, cpu);
        if (options.Master is not null)
            await client.DeleteAsync(directory, recursive: true, context.Cancellation);
        return ExitCode.Done;
    }

    private async Task WarmUpAsync(SemelClient client, string path)
    {
        await CreateAsync(client, path);
        var writers = await OpenAsync(client, [path]);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        await using var timer = context.Time.CreateTimer(_ => enough.Cancel(), null, options.WarmUp, System.Threading.Timeout.InfiniteTimeSpan);
        await Task.WhenAll(writers.Select(w => w.RunUntilAsync(enough.Token, context.Cancellation)));
        foreach (var writer in writers)
            await writer.DisposeAsync();
        context.Cancellation.ThrowIfCancellationRequested();
    }

    private Task<bool> CreateAsync(SemelClient client, string path) => client.CreateAsync(
        path, new CreateOptions { Replicas = options.Replicas, Durability = options.Durability, CreateParents = true }, context.Cancellation);

    private async Task<BenchWriter[]> OpenAsync(SemelClient client, string[] paths) => await Task.WhenAll(Enumerable.Range(0, options.Writers).Select(async i =>
    {
        string path = paths[i % paths.Length];
        var writer = await client.OpenWriterAsync(path, new WriterOptions { Delivery = options.Delivery }, context.Cancellation);
        long records = options.Records / options.Writers + (i < options.Records % options.Writers ? 1 : 0);
        return new BenchWriter(writer, path, records, options, context.Time);
    }));

    private static string Progress(BenchWriter[] writers, TimeSpan elapsed)
    {
        long done = writers.Sum(w => w.Acknowledged);
        return FormattableString.Invariant($"{done:N0} of {writers.Sum(w => w.Records):N0} records, {done / Math.Max(0.001, elapsed.TotalSeconds):N0}/s");
    }

    private static CpuSeconds Cpu(TemporaryCluster? cluster) =>
        new(ProcessorTime.OfThisProcess, cluster?.ChunkServers.Sum(s => s.CpuSeconds), cluster?.MasterProcess.CpuSeconds);

    private static CpuSeconds Difference(CpuSeconds after, CpuSeconds before) => new(
        Math.Round(after.Client - before.Client, 2), Round(after.Chunkservers - before.Chunkservers), Round(after.Master - before.Master));

    private static double? Round(double? value) => value is null ? null : Math.Round(value.Value, 2);

    private void Report(BenchWriter[] writers, double seconds, CpuSeconds cpu)
    {
        var latencies = new LatencyHistogram();
        foreach (var writer in writers)
            latencies.Add(writer.Latencies);
        long records = writers.Sum(w => w.Acknowledged);
        var shape = new Shape(
            records, options.Size, options.Writers, options.Files, options.Replicas, options.Durability.ToString().ToLowerInvariant(),
            options.Delivery is Delivery.ExactlyOnce ? "exactly-once" : "at-least-once", options.Batch, options.InFlight,
            Math.Round(seconds, 4), Math.Round(records / seconds, 1), Math.Round(records * (double)options.Size / seconds / 1e6, 3),
            Math.Round(latencies.MicrosecondsAt(0.50), 1), Math.Round(latencies.MicrosecondsAt(0.99), 1), Math.Round(latencies.MaxTicks / 10.0, 1),
            options.Verify ? true : null, cpu);
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(shape));
            return;
        }
        string servers = cpu.Master is null ? "" : FormattableString.Invariant($", chunk servers {cpu.Chunkservers:0.00} s, master {cpu.Master:0.00} s");
        context.Streams.WriteLine(FormattableString.Invariant($"""
            {shape.Records} records of {shape.Size} bytes in {shape.Seconds:0.000} s: {shape.RecordsPerS:N0} records/s, {shape.MbPerS:0.0} MB/s
            {shape.Writers} writers, {shape.Files} files, {shape.Replicas} replicas, {shape.Durability}, {shape.Delivery}, {shape.InFlight} in flight per writer
            latency p50 {shape.P50Us:N0} us, p99 {shape.P99Us:N0} us, max {shape.MaxUs:N0} us
            cpu: client {cpu.Client:0.00} s{servers}
            {(options.Verify ? "verified: everything acknowledged was read back, nothing else" : "not verified")}
            """));
    }
}
