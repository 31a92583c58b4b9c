using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Cli.Verification;
using Semel.Client;
using Semel.Protocol.Frames;
using Semel.Transport;

namespace Semel.Cli.Commands.Demo;

/// <summary>
/// One demonstration.
/// <list type="number">
/// <item>Start a cluster of processes.</item>
/// <item>Append all lines from many writers to one file; kill the primary's server when a quarter is acknowledged.</item>
/// <item>Start it again when half is acknowledged.</item>
/// <item>Read every replica of every chunk from its server and count.</item>
/// </list>
/// </summary>
internal sealed class DemoRun(CommandContext context, IReadOnlyList<ReadOnlyMemory<byte>> lines, int writers)
{
    public const uint ChunkSize = 4 << 20;

    private const string FilePath = "/demo/log";
    private const int UnderWayPerWriter = 512;

    /// <summary>The killed server lacks what was appended meanwhile: it is given a copy after the master's grace time.</summary>
    private static readonly TimeSpan RepairPatience = TimeSpan.FromSeconds(20);

    private readonly RecordLedger _ledger = new();
    private readonly CancellationTokenSource _failed = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
    private readonly TaskCompletionSource _quarter = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _half = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _acknowledged;

    /// <summary>The last line of <c>--json</c>.</summary>
    private sealed record Shape(long Acknowledged, long Found, long Lost, long Duplicated, long Chunks, long Replicas, bool ReplicasIdentical, double Seconds, string Verdict);

    public async Task<int> RunAsync()
    {
        // Step 1: a cluster of processes.
        long begin = context.Time.GetTimestamp();
        context.Say("starting a master and three chunk servers");
        await using var cluster = await TemporaryCluster.StartAsync(3, [$"chunk_size={ChunkSize}", "repair_grace=1s"], [], context.Time, context.Cancellation);

        // Steps 2 and 3: append through the fault.
        context.Say($"{writers} writers append {lines.Count:N0} lines to {FilePath}");
        await AppendThroughFaultAsync(cluster);

        // Step 4: read all replicas back.
        context.Say("reading every replica of every chunk");
        await using var wire = new SocketWire(new SocketWireOptions { Role = "client" }, context.Time, new Random(), NullLoggerFactory.Instance);
        var audit = new FileAudit(wire, cluster.Master, context.Time) { OnFrame = Find, RepairPatience = RepairPatience };
        return Judge(await audit.RunAsync(FilePath, context.Cancellation), context.Time.GetElapsedTime(begin).TotalSeconds);
    }

    private async Task AppendThroughFaultAsync(TemporaryCluster cluster)
    {
        await using var client = SemelClient.Connect(cluster.Master, new SemelClientOptions { OperationTimeout = TimeSpan.FromSeconds(60) });
        await client.CreateAsync(FilePath, new CreateOptions { CreateParents = true }, context.Cancellation);
        long begin = context.Time.GetTimestamp();
        using var progress = ProgressLine.Begin(context, () => Progress(context.Time.GetElapsedTime(begin)));
        var fault = KillAndRestartAsync(client, cluster);
        var appends = Task.WhenAll(Enumerable.Range(0, writers).Select(w => WriteAsync(client, w)));
        try
        {
            await Task.WhenAll(appends, fault);
        }
        catch (Exception e) when (e is not OperationCanceledException || context.Cancellation.IsCancellationRequested)
        {
            _failed.Cancel();
            throw;
        }
        context.Say(FormattableString.Invariant(
            $"{_acknowledged:N0} records acknowledged in {context.Time.GetElapsedTime(begin).TotalSeconds:0.0} s"));
    }

    private string Progress(TimeSpan elapsed)
    {
        long acknowledged = Interlocked.Read(ref _acknowledged);
        int width = (int)(30 * acknowledged / lines.Count);
        return FormattableString.Invariant(
            $"[{new string('#', width)}{new string('.', 30 - width)}] {acknowledged:N0} of {lines.Count:N0} acknowledged, {acknowledged / Math.Max(0.001, elapsed.TotalSeconds):N0}/s");
    }

    private async Task KillAndRestartAsync(SemelClient client, TemporaryCluster cluster)
    {
        await _quarter.Task.WaitAsync(_failed.Token);
        int victim = await PrimaryAsync(client, cluster);
        var process = cluster.ChunkServers.ElementAt(victim);
        context.Say($"killing {process.Name} (process {process.Id}), the primary, with SIGKILL");
        await cluster.KillChunkServerAsync(victim);
        await _half.Task.WaitAsync(_failed.Token);
        await cluster.RestartChunkServerAsync(victim, _failed.Token);
        process = cluster.ChunkServers.ElementAt(victim);
        context.Say($"started {process.Name} again (process {process.Id})");
    }

    /// <summary>The chunk server that all appends go to: the one with the leases.</summary>
    private async Task<int> PrimaryAsync(SemelClient client, TemporaryCluster cluster)
    {
        var status = await client.GetClusterStatusAsync(_failed.Token);
        string address = status.ChunkServers.MaxBy(s => s.Leases)!.Address;
        return Math.Max(0, cluster.ChunkServers.ToList().FindIndex(s => s.Address == address));
    }

    /// <summary>A writer appends every n-th line, many under way at a time.</summary>
    private async Task WriteAsync(SemelClient client, int number)
    {
        try
        {
            await using var writer = await client.OpenWriterAsync(FilePath, new WriterOptions { Name = $"demo-{number}" }, _failed.Token);
            var underWay = new Queue<(ValueTask<AppendResult> Append, UInt128 Key)>();
            for (int i = number; i < lines.Count; i += writers)
            {
                if (underWay.Count >= UnderWayPerWriter)
                    await AcknowledgeAsync(underWay.Dequeue());
                var key = _ledger.Sent(lines[i].Span);
                underWay.Enqueue((writer.AppendAsync(lines[i], _failed.Token), key));
            }
            while (underWay.Count > 0)
                await AcknowledgeAsync(underWay.Dequeue());
        }
        catch
        {
            _failed.Cancel();
            throw;
        }
    }

    private async ValueTask AcknowledgeAsync((ValueTask<AppendResult> Append, UInt128 Key) sent)
    {
        await sent.Append;
        _ledger.MarkAcknowledged(sent.Key);
        long acknowledged = Interlocked.Increment(ref _acknowledged);
        if (acknowledged * 4 >= lines.Count)
            _quarter.TrySetResult();
        if (acknowledged * 2 >= lines.Count)
            _half.TrySetResult();
    }

    private void Find(ulong chunk, in FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        if (frame.Kind is not FrameKind.Data)
            return;
        while (RecordBatch.TryTake(ref payload, out var record))
            _ledger.MarkFound(record);
    }

    private int Judge(AuditResult audit, double seconds)
    {
        var (lost, duplicated) = _ledger.Compare();
        duplicated = Math.Max(duplicated, audit.Duplicates);
        bool identical = audit.Corrupt + audit.Divergent == 0;
        bool holds = lost == 0 && duplicated == 0 && !audit.IsViolated && _ledger.Acknowledged == lines.Count;
        foreach (var finding in audit.Findings)
            context.Say(finding.Text);
        context.Say(FormattableString.Invariant(
            $"read {audit.Replicas} replicas of {audit.Chunks} chunks; {seconds:0.0} s in all"));
        string verdict = FormattableString.Invariant(
            $"{(holds ? "exactly once" : "VIOLATED")}: {_ledger.Acknowledged} acknowledged, {_ledger.Found} found, {lost} lost, {duplicated} duplicated, replicas {(identical ? "identical" : "differ")}");
        context.Streams.WriteLine(context.Json
            ? JsonLine.Of(new Shape(_ledger.Acknowledged, _ledger.Found, lost, duplicated, audit.Chunks, audit.Replicas, identical, Math.Round(seconds, 3), verdict))
            : $"verdict: {verdict}");
        return holds ? ExitCode.Done : ExitCode.VerificationFailed;
    }
}
