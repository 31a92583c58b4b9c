using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Bench;

/// <summary>What one run measured; everything acknowledged was read back, if that was asked for.</summary>
/// <param name="Lateness">Open loop: how late appends were started.</param>
/// <param name="EndToEnd">With readers: from the start of an append to each reader.</param>
/// <param name="UnderReplicated">Chunks of the cluster that had too few replicas when the last append was acknowledged: appends to them are less work.</param>
internal sealed record RunResult(
    long Records, double Seconds, LatencyHistogram Latencies, LatencyHistogram? Lateness, LatencyHistogram? EndToEnd, RunUsage Usage, long UnderReplicated);

/// <summary>Appends to fresh files and measures that. In order: files, writers, readers; the measured appends; reading back. The files stay: to delete them would cost the next run.</summary>
internal sealed class BenchRun(CommandContext context, BenchOptions options, SemelClient client, UsageMeter usage)
{
    private const int OpenedAtOnce = 64;

    /// <summary>How long readers may lag behind the last acknowledgement before they count as stuck.</summary>
    private static readonly TimeSpan ReaderPatience = TimeSpan.FromSeconds(30);

    /// <exception cref="CommandException">What was read back is not what was acknowledged.</exception>
    public async Task<RunResult> MeasureAsync(string directory, int readerCount)
    {
        var paths = Enumerable.Range(0, options.Files).Select(i => FormattableString.Invariant($"{directory}/file-{i}")).ToArray();
        var writers = await OpenAsync(paths);
        foreach (string path in paths)
            await MakeKnownAsync(path);
        var readers = Enumerable.Range(0, readerCount).Select(_ => new TailReader(client.Master, paths[0], options.Records, context.Time)).ToArray();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        var following = readers.Select(r => r.RunAsync(stop.Token)).ToArray();
        var pacer = options.Rate is { } rate ? new Pacer(writers, rate / options.Batch, context.Time) : null;

        using var enough = new CancellationTokenSource(options.Duration ?? Timeout.InfiniteTimeSpan, context.Time);
        usage.Begin();
        long begin = context.Time.GetTimestamp();
        using (ProgressLine.Begin(context, () => Progress(writers, context.Time.GetElapsedTime(begin))))
        {
            var appends = pacer is null
                ? Task.WhenAll(writers.Select(w => w.RunAsync(enough.Token)))
                : Task.WhenAll([pacer.RunAsync(stop.Token), .. writers.Select(w => w.CompleteAsync())]);
            await appends.WaitAsync(context.Cancellation);
        }
        double seconds = context.Time.GetElapsedTime(begin).TotalSeconds;
        long underReplicated = (await client.GetClusterStatusAsync(context.Cancellation)).UnderReplicated;
        bool caughtUp = await AllWithinAsync(following, ReaderPatience);
        var used = usage.End();
        stop.Cancel();

        string? fault = readers.Select(r => r.Fault).FirstOrDefault(f => f is not null)
            ?? (caughtUp ? null : $"a reader had not met all records {ReaderPatience.TotalSeconds} s after the last was acknowledged");
        if (fault is null && options.Verify)
            fault = await new ReadBack(client, options).FaultOfAsync(paths, writers, context.Cancellation);
        if (fault is not null)
            throw new CommandException(ExitCode.VerificationFailed, $"What was read back is not what was acknowledged: {fault}");
        foreach (var writer in writers)
            await writer.DisposeAsync();
        return new RunResult(
            writers.Sum(w => w.Acknowledged), seconds, LatencyHistogram.Sum(writers.Select(w => w.Latencies)), pacer?.Lateness,
            readerCount == 0 ? null : LatencyHistogram.Sum(readers.Select(r => r.EndToEnd)), used, underReplicated);
    }

    /// <summary>Appends to other files for a while, in the closed loop.</summary>
    public async Task WarmUpAsync(string directory)
    {
        var paths = Enumerable.Range(0, options.Files).Select(i => FormattableString.Invariant($"{directory}/file-{i}")).ToArray();
        var writers = await OpenAsync(paths, long.MaxValue / options.Writers);
        using var enough = new CancellationTokenSource(options.WarmUp, context.Time);
        await Task.WhenAll(writers.Select(w => w.RunAsync(enough.Token))).WaitAsync(context.Cancellation);
        foreach (var writer in writers)
            await writer.DisposeAsync();
    }

    private async Task<BenchWriter[]> OpenAsync(string[] paths, long? recordsEach = null)
    {
        foreach (string path in paths)
        {
            await client.CreateAsync(
                path, new CreateOptions { Replicas = options.Replicas, Durability = options.Durability, CreateParents = true }, context.Cancellation);
        }
        return await Task.WhenAll(Enumerable.Range(0, options.Writers).Select(async i =>
        {
            string path = paths[i % paths.Length];
            var writer = await client.OpenWriterAsync(path, new WriterOptions { Delivery = options.Delivery }, context.Cancellation);
            long records = recordsEach ?? options.Records / options.Writers + (i < options.Records % options.Writers ? 1 : 0);
            return new BenchWriter(writer, path, records, options, context.Time);
        }));
    }

    /// <summary>Writers with a name: a file goes on knowing them when they are closed.</summary>
    private async Task MakeKnownAsync(string path)
    {
        for (int begun = 0; begun < options.KnownWriters; begun += OpenedAtOnce)
        {
            var opened = await Task.WhenAll(Enumerable.Range(begun, Math.Min(OpenedAtOnce, options.KnownWriters - begun)).Select(i => client.OpenWriterAsync(
                path, new WriterOptions { Name = FormattableString.Invariant($"known-{i}") }, context.Cancellation)));
            foreach (var writer in opened)
                await writer.DisposeAsync();
        }
    }

    private async Task<bool> AllWithinAsync(Task[] tasks, TimeSpan patience)
    {
        try
        {
            await Task.WhenAll(tasks).WaitAsync(patience, context.Time, context.Cancellation);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    private string Progress(BenchWriter[] writers, TimeSpan elapsed)
    {
        long done = writers.Sum(w => w.Acknowledged);
        string of = options.Duration is null ? FormattableString.Invariant($" of {options.Records:N0}") : "";
        return FormattableString.Invariant($"{done:N0}{of} records, {done / Math.Max(0.001, elapsed.TotalSeconds):N0}/s");
    }
}
