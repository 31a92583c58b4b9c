using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Cli.Verification;
using Semel.Client;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Transport;

namespace Semel.Cli.Commands.Torture;

/// <summary>What to do to a cluster, and for how long.</summary>
internal sealed record TortureOptions(int Seconds, int Seed, IReadOnlyList<FaultKind> Faults, int Writers, int Files, string History, bool Keep);

/// <summary>
/// One run.
/// <list type="number">
/// <item>Start a cluster of processes whose connections all run through proxies.</item>
/// <item>Producers append, readers follow; once every producer has been acknowledged something, faults fall.</item>
/// <item>Undo all faults; producers finish what they sent.</item>
/// <item>Wait until every chunk has all its replicas again, and read each of them.</item>
/// <item>Wait until the readers have seen everything.</item>
/// <item>Judge the history.</item>
/// </list>
/// </summary>
internal sealed class TortureRun(CommandContext context, TortureOptions options)
{
    private const int ChunkServers = 5;
    private const long DiskBytes = 256L << 20;
    private const long DiskBytesPerSecond = 1L << 20;

    /// <summary>
    /// How long the cluster may take to be well again. Longer than a chunk waits for members of which one lost its disk
    /// (<c>member_grace</c> below).
    /// </summary>
    private static readonly TimeSpan HealingTime = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private static readonly SemelClientOptions ClientOptions = new() { OperationTimeout = TimeSpan.FromSeconds(20) };

    private readonly long _begin = context.Time.GetTimestamp();
    private readonly string[] _paths = [.. Enumerable.Range(1, options.Files).Select(i => FormattableString.Invariant($"/torture/{i}"))];
    private readonly List<SemelClient> _clients = [];

    /// <summary>Runs, and leaves the history to be judged.</summary>
    public async Task RunAsync()
    {
        using var directory = new TemporaryDirectory { IsKept = options.Keep };
        using var history = new History(options.History, context.Time);
        history.Add(new HistoryLine
        {
            Event = HistoryLine.Run,
            Version = History.Version,
            Seed = options.Seed,
            Seconds = options.Seconds,
            What = FormattableString.Invariant($"{options.Writers} writers, {options.Files} files, {string.Join(',', options.Faults.Select(FaultKinds.NameOf))}"),
        });
        try
        {
            await RunAsync(directory.Path, history);
        }
        catch
        {
            directory.IsKept = true;
            context.Say($"data and logs of the servers are in {directory.Path}");
            throw;
        }
        history.Dispose();
        if (!options.Keep && HistoryCheck.Run(options.History).IsViolated)
            directory.IsKept = true;
        if (directory.IsKept)
            context.Say($"data and logs of the servers are in {directory.Path}");
    }

    private async Task RunAsync(string directory, History history)
    {
        // Step 1.
        long diskBytes = options.Faults.Contains(FaultKind.Full) ? DiskBytes + (options.Seconds * DiskBytesPerSecond) : 0;
        await using var cluster = await ProxiedCluster.StartAsync(
            directory, ChunkServers, diskBytes, [$"chunk_size={ChunkLimits.MinCapacity}", "repair_grace=2s", "member_grace=1m"], context.Time, context.Cancellation);
        if (cluster.NoSmallDisks is { } why)
            context.Say($"no disk is filled up: a file system of limited size cannot be mounted here: {why}");
        var client = NewClient(cluster);
        foreach (string path in _paths)
            await client.CreateAsync(path, new CreateOptions { CreateParents = true }, context.Cancellation);

        // Step 2.
        using var finish = new CancellationTokenSource();
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        using var stopReading = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        var producers = Enumerable.Range(0, options.Writers)
            .Select(i => new Producer(NewClient(cluster), history, _paths[i % _paths.Length], FormattableString.Invariant($"writer-{i + 1}"), options.Seed + i, context.Time)).ToList();
        var tails = _paths.Select((path, i) => new Tail(NewClient(cluster), history, path, FormattableString.Invariant($"reader-{i + 1}"), context.Time)).ToList();
        var producing = Task.WhenAll(producers.Select(p => p.RunAsync(finish.Token, giveUp.Token)));
        var reading = Task.WhenAll(tails.Select(t => t.RunAsync(stopReading.Token)));
        try
        {
            // Else a slow machine has nothing to lose yet when a short run is over.
            await UntilAsync(() => producers.All(p => p.Acknowledged > 0));
            using var faults = new FaultRunner(cluster, history, Tell, context.Time);
            using (ProgressLine.Begin(context, () => FormattableString.Invariant(
                $"{Elapsed:0} of {options.Seconds} s: {faults.CarriedOut} faults, {producers.Sum(p => p.Acknowledged):N0} acknowledged, {tails.Sum(t => t.Seen):N0} read")))
            {
                var plan = FaultPlan.Draw(options.Seed, TimeSpan.FromSeconds(options.Seconds), options.Faults, ChunkServers);
                await Task.WhenAll(faults.RunAsync(plan, context.Cancellation), Task.Delay(TimeSpan.FromSeconds(options.Seconds), context.Time, context.Cancellation));
            }

            // Step 3.
            Tell("all faults are undone; the producers finish");
            finish.Cancel();
            giveUp.CancelAfter(HealingTime);
            if (!await FinishAsync(producing, history, "producers: what they sent was not acknowledged"))
            {
                // They would go on for as long as they live, and be acknowledged what is read no more in step 4.
                foreach (var producer in producers)
                    await producer.Client.DisposeAsync();
            }

            // Step 4.
            await BecomeWholeAsync(client, history);
            Tell("reading every replica of every chunk");
            var found = await AuditAsync(cluster, faults.Rot, history);

            // Step 5.
            await UntilAsync(() => tails.All(t => t.Seen >= found[t.Path]));
            history.Add(new HistoryLine { Event = HistoryLine.End });
        }
        finally
        {
            finish.Cancel();
            giveUp.Cancel();
            stopReading.Cancel();
            await reading;
            await Task.WhenAny(producing);
            foreach (var c in _clients)
                await c.DisposeAsync();
        }
    }

    private double Elapsed => context.Time.GetElapsedTime(_begin).TotalSeconds;

    /// <summary>Waits no longer than <see cref="HealingTime"/>; the history tells what is lacking then.</summary>
    private async Task UntilAsync(Func<bool> condition)
    {
        long begin = context.Time.GetTimestamp();
        while (!condition() && context.Time.GetElapsedTime(begin) < HealingTime)
            await Task.Delay(Pause, context.Time, context.Cancellation);
    }

    /// <summary>False: it was given up.</summary>
    private async Task<bool> FinishAsync(Task work, History history, string complaint)
    {
        try
        {
            await work;
            return true;
        }
        catch (OperationCanceledException) when (!context.Cancellation.IsCancellationRequested)
        {
            history.Add(new HistoryLine { Event = HistoryLine.Audit, Path = "", Unread = 1, What = FormattableString.Invariant($"{complaint} within {HealingTime.TotalSeconds:0} s") });
            return false;
        }
    }

    private async Task BecomeWholeAsync(SemelClient client, History history)
    {
        long begin = context.Time.GetTimestamp();
        string lack = "";
        while (context.Time.GetElapsedTime(begin) < HealingTime)
        {
            try
            {
                var status = await client.GetClusterStatusAsync(context.Cancellation);
                int alive = status.ChunkServers.Count(s => s.IsAlive);
                if (alive == ChunkServers && !status.IsRecovering && status.UnderReplicated == 0)
                    return;
                lack = FormattableString.Invariant($"{alive} chunk servers alive, {status.UnderReplicated} chunks lack replicas");
            }
            catch (SemelException e)
            {
                lack = e.Message;
            }
            await Task.Delay(Pause, context.Time, context.Cancellation);
        }
        history.Add(new HistoryLine { Event = HistoryLine.Audit, Path = "", Unread = 1, What = FormattableString.Invariant($"the cluster did not become whole within {HealingTime.TotalSeconds:0} s: {lack}") });
    }

    /// <summary>Reads every replica and writes down each record. Returns how many each file has.</summary>
    private async Task<Dictionary<string, long>> AuditAsync(ProxiedCluster cluster, ChunkRot rot, History history)
    {
        await using var wire = new SocketWire(new SocketWireOptions { Role = "client" }, context.Time, new Random(), NullLoggerFactory.Instance);
        var found = new Dictionary<string, long>();
        var ledger = new ClusterLedger();
        foreach (string path in _paths)
        {
            var audit = new FileAudit(wire, cluster.Master, context.Time)
            {
                RepairPatience = HealingTime,
                Ledger = ledger,
                MaxFindings = int.MaxValue,   // each is compared with what was rotted here
                OnFrame = (ulong chunk, in FrameHeader frame, ReadOnlySpan<byte> payload) => WriteDown(history, path, chunk, frame, payload),
            };
            var result = await audit.RunAsync(path, context.Cancellation);
            var others = result.Findings.Where(f => f.Kind is not FindingKind.Corrupt || f.Server is null || !rot.Planted.Contains((f.Server, f.Handle))).ToList();
            history.Add(new HistoryLine
            {
                Event = HistoryLine.Audit,
                Path = path,
                Divergent = others.Count(f => f.Kind is FindingKind.Corrupt or FindingKind.Divergent),
                Planted = result.Findings.Count - others.Count,
                Unread = result.Unread,
                What = string.Join("; ", others.Select(f => f.Text)),
            });
            Tell(FormattableString.Invariant($"{path}: {result.Records:N0} records in {result.Chunks} chunks, {result.Replicas} replicas, {result.Findings.Count - others.Count} of them with bits that were flipped here"));
            found[path] = result.Records;
        }
        return found;
    }

    private static void WriteDown(History history, string path, ulong chunk, in FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        if (frame.Kind is not FrameKind.Data)
            return;
        for (int index = 0; RecordBatch.TryTake(ref payload, out var record); index++)
        {
            history.Add(new HistoryLine
            {
                Event = HistoryLine.Found,
                Path = path,
                Pos = new RecordPosition(chunk, frame.Offset, index).ToString(),
                Id = frame.Writer.Value,
                Epoch = frame.Epoch,
                Seq = frame.FirstSequence + (ulong)index,
                Crc = Crc32C.Compute(record),
            });
        }
    }

    private SemelClient NewClient(ProxiedCluster cluster)
    {
        var client = SemelClient.Connect(cluster.Master, ClientOptions);
        _clients.Add(client);
        return client;
    }

    private void Tell(string what) => context.Say(FormattableString.Invariant($"{Elapsed,6:0.0} s  {what}"));
}
