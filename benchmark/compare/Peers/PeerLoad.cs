using System.Diagnostics;
using Semel.Cli.Clusters;
using Semel.Cli.Commands.Bench;

namespace Semel.Peers;

/// <summary>How a peer is loaded.</summary>
/// <param name="Window">Records that each client has under way.</param>
/// <param name="Batch">Records that leave together.</param>
/// <param name="Ports">Where the peer listens.</param>
/// <param name="Mounts">Where the peer is mounted, if it is a file system.</param>
/// <param name="Pids">The peer's processes.</param>
internal sealed record LoadShape(
    int Clients, int Size, int Window, int Batch, TimeSpan WarmUp, TimeSpan Duration, int[] Ports, string[] Mounts, int[] Pids);

/// <summary>One client's counters. Its own thread writes them.</summary>
internal sealed class ClientCount(Stopwatch clock)
{
    private long _acknowledged;

    public Stopwatch Clock { get; } = clock;

    /// <summary>No append starts after this.</summary>
    public TimeSpan Until { get; init; }

    public LatencyHistogram Latencies { get; } = new();
    public long Acknowledged => Volatile.Read(ref _acknowledged);
    public long Errors { get; set; }
    public bool IsOver => Clock.Elapsed >= Until;

    public void Acknowledge(long begin)
    {
        Latencies.Add(Stopwatch.GetElapsedTime(begin).Ticks);
        Volatile.Write(ref _acknowledged, _acknowledged + 1);
    }
}

/// <summary>A peer that takes records.</summary>
internal interface IPeer
{
    /// <summary>Makes what the clients append to.</summary>
    void Prepare();

    /// <summary>Appends until <see cref="ClientCount.IsOver"/> and waits for what is under way. On a thread of its own.</summary>
    void Append(int client, ClientCount count);

    /// <summary>Compares what is stored with what was acknowledged, and removes it. Null: it is the same.</summary>
    string? Verify(ClientCount[] counts);
}

/// <summary>The line that a run prints.</summary>
internal sealed record LoadResult(
    string Peer, long Records, int Size, int Clients, double Seconds, double RecordsPerS, double MbPerS, double P50Us, double P99Us, double MaxUs,
    double ClientCpuS, double ServerCpuS, long DiskWrittenBytes);

/// <summary>Runs a load: a warm-up, then the measured part, each on a stream of its own.</summary>
internal static class PeerLoad
{
    /// <exception cref="IOException">The peer failed, or lost something: there is no rate then.</exception>
    public static LoadResult Run(string name, Func<IPeer> makePeer, LoadShape shape)
    {
        if (shape.WarmUp > TimeSpan.Zero)
            Run(makePeer(), shape, shape.WarmUp);
        double clientBefore = ProcessorTime.OfThisProcess;
        var before = shape.Pids.Select(ProcessUsage.OfProcess).ToArray();
        var (counts, elapsed) = Run(makePeer(), shape, shape.Duration);
        double clientCpu = ProcessorTime.OfThisProcess - clientBefore;
        var used = shape.Pids.Select((pid, i) => ProcessUsage.OfProcess(pid) - before[i]).ToArray();
        long records = counts.Sum(c => c.Acknowledged);
        var latencies = LatencyHistogram.Sum(counts.Select(c => c.Latencies));
        double seconds = elapsed.TotalSeconds;
        return new LoadResult(
            name, records, shape.Size, shape.Clients, Math.Round(seconds, 4), Math.Round(records / seconds, 1), Math.Round(records * (double)shape.Size / seconds / 1e6, 3),
            Math.Round(latencies.MicrosecondsAt(0.5), 1), Math.Round(latencies.MicrosecondsAt(0.99), 1), Math.Round(latencies.MaxTicks / 10.0, 1),
            Math.Round(clientCpu, 2), Math.Round(used.Sum(u => u.CpuSeconds), 2), used.Sum(u => u.WrittenBytes));
    }

    private static (ClientCount[] Counts, TimeSpan Elapsed) Run(IPeer peer, LoadShape shape, TimeSpan duration)
    {
        peer.Prepare();
        var failures = new List<Exception>();
        var clock = Stopwatch.StartNew();
        var counts = Enumerable.Range(0, shape.Clients).Select(_ => new ClientCount(clock) { Until = duration }).ToArray();
        var threads = counts.Select((count, i) => new Thread(() =>
        {
            try
            {
                peer.Append(i, count);
            }
            catch (Exception e)
            {
                lock (failures)
                    failures.Add(e);
            }
        })).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        var elapsed = clock.Elapsed;
        if (failures.Count > 0)
            throw new IOException(failures[0].Message, failures[0]);
        if (counts.Sum(c => c.Errors) is var errors and > 0)
            throw new IOException($"{errors} records were refused.");
        if (peer.Verify(counts) is { } fault)
            throw new IOException(fault);
        return (counts, elapsed);
    }
}
