using System.Runtime.InteropServices;

namespace Semel.Cli.Commands.Bench;

/// <summary>
/// The open loop: starts appends at the times at which they are due, in turn over all writers, on a thread of its own. When it is late it goes through what is due
/// without a pause; since latencies count from when an append was due, nothing that the system is slow at is left out.
/// </summary>
internal sealed class Pacer(BenchWriter[] writers, double appendsPerSecond, TimeProvider time)
{
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(1);

    /// <summary>How late each append was started: the generator's own share of the latencies.</summary>
    public LatencyHistogram Lateness { get; } = new();

    public Task RunAsync(CancellationToken cancellation)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => Run(ended, cancellation)) { IsBackground = true, Name = "pacer" }.Start();
        return ended.Task;
    }

    private void Run(TaskCompletionSource ended, CancellationToken cancellation)
    {
        try
        {
            long begin = time.GetTimestamp();
            double interval = time.TimestampFrequency / appendsPerSecond;
            var busy = writers.ToList();
            for (long i = 0; busy.Count > 0 && !cancellation.IsCancellationRequested; i++)
            {
                long due = begin + (long)(i * interval);
                Lateness.Add(WaitUntil(due).Ticks);
                int turn = (int)(i % busy.Count);
                if (!busy[turn].Start(due))
                    busy.RemoveAt(turn);
            }
            ended.SetResult();
        }
        catch (Exception e)
        {
            ended.SetException(e);
        }
    }

    /// <summary>Returns how much later it is.</summary>
    private TimeSpan WaitUntil(long due)
    {
        while (true)
        {
            var late = time.GetElapsedTime(due);
            if (late >= TimeSpan.Zero)
                return late;
            Pause(late < -LongestPause ? LongestPause : -late);
        }
    }

    /// <summary>.NET's own pauses are whole milliseconds.</summary>
    private static void Pause(TimeSpan duration) => _ = USleep((uint)Math.Max(1, duration.TotalMicroseconds));

    [DllImport("libc", EntryPoint = "usleep")]
    private static extern int USleep(uint microseconds);
}
