using System.CommandLine;
using System.Globalization;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;
using Semel.Client.Reading;
using Command = System.CommandLine.Command;
using ChunkLocation = Semel.Protocol.Messages.ChunkLocation;

namespace Semel.Cli.Commands.Bench;

/// <summary>
/// <c>semel bench failover</c>: how long appends stand still when a chunk server dies. Writers append one record at a time; a server is killed with SIGKILL; a round's
/// figure is the longest that any of them waited for an append in the two seconds after that (or longer, if it was not answered by then).
/// </summary>
internal sealed class FailoverBench(CommandContext context, int rounds, int writers, FailoverBench.Victim victim)
{
    private const string FilePath = "/bench/failover";

    /// <summary>One more than there are replicas, so that a killed server can be replaced.</summary>
    private const int ChunkServers = 4;

    private static readonly TimeSpan LongestGap = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(500);

    /// <summary>Which server is killed.</summary>
    public enum Victim
    {
        /// <summary>The primary of the file's last chunk.</summary>
        Primary = 1,

        /// <summary>One of its secondaries.</summary>
        Secondary,
    }

    /// <summary>The last line of <c>--json</c>.</summary>
    private sealed record Shape(string Victim, int Rounds, int Writers, double P50Ms, double MaxMs, double[] GapsMs, long Records, bool Verified);

    private readonly ProbeWriter[] _writers = new ProbeWriter[writers];

    public static Command Create(VerbRunner run)
    {
        var rounds = Parsing.Number("--rounds", 10, 1, 1000, "How often a server is killed.");
        var writers = Parsing.Number("--writers", 8, 1, 1000, "Writers that append one record at a time.");
        var victim = Parsing.Choice("--victim", Victim.Primary, "Which server of the file's last chunk is killed.");
        var command = new Command("failover", "Measure how long appends stand still when a chunk server is killed, on a temporary cluster of processes (a master, four chunk servers).")
        {
            rounds, writers, victim,
        };
        return run.Runs(command, context => new FailoverBench(context, (int)context.Get(rounds), (int)context.Get(writers), context.Get(victim)).RunAsync());
    }

    private async Task<int> RunAsync()
    {
        await using var cluster = await TemporaryCluster.StartAsync(ChunkServers, [], [], context.Time, context.Cancellation);
        await using var client = SemelClient.Connect(cluster.Master, new SemelClientOptions { OperationTimeout = TimeSpan.FromSeconds(60) });
        await client.CreateAsync(FilePath, new CreateOptions { CreateParents = true }, context.Cancellation);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        for (int i = 0; i < writers; i++)
            _writers[i] = new ProbeWriter(await client.OpenWriterAsync(FilePath, new WriterOptions { Name = string.Create(CultureInfo.InvariantCulture, $"probe-{i}") }, stop.Token), context.Time);
        var appending = Task.WhenAll(_writers.Select(w => w.RunAsync(stop.Token)));

        var gaps = new List<double>();
        for (int round = 0; round < rounds; round++)
        {
            await WholeAgainAsync(client);
            gaps.Add(await KillAsync(client, cluster));
            context.Say(FormattableString.Invariant($"round {round + 1}: {gaps[^1]:0} ms"));
        }
        stop.Cancel();
        await appending;
        context.Cancellation.ThrowIfCancellationRequested();
        if (await FaultOfAsync(client) is { } fault)
            throw new CommandException(ExitCode.VerificationFailed, $"What was read back is not what was acknowledged: {fault}");
        Report(gaps);
        return ExitCode.Done;
    }

    /// <summary>Waits until all servers are alive and appends go to a chunk with all its replicas, so that the rounds are alike.</summary>
    private async Task WholeAgainAsync(SemelClient client)
    {
        while (true)
        {
            var status = await client.GetClusterStatusAsync(context.Cancellation);
            if (status.ChunkServers.Count(s => s.IsAlive) == ChunkServers && await TailAsync(client) is { Members.Count: 3 })
                break;
            await Task.Delay(Settling / 5, context.Time, context.Cancellation);
        }
        await Task.Delay(Settling, context.Time, context.Cancellation);
    }

    private async Task<double> KillAsync(SemelClient client, TemporaryCluster cluster)
    {
        var tail = await TailAsync(client);
        string address = victim == Victim.Primary ? tail.Primary.Address : tail.Members.First(m => m.ServerId != tail.Primary.ServerId).Address;
        int index = cluster.ChunkServers.ToList().FindIndex(s => s.Address == address);
        long killed = context.Time.GetTimestamp();
        await cluster.KillChunkServerAsync(index);
        var waits = await Task.WhenAll(_writers.Select(w => w.LongestWaitAsync(killed))).WaitAsync(LongestGap, context.Time, context.Cancellation);
        await cluster.RestartChunkServerAsync(index, context.Cancellation);
        return waits.Max();
    }

    private async Task<ChunkLocation> TailAsync(SemelClient client)
    {
        ChunkLocation? last = null;
        await foreach (var chunk in new ReplicaReading(client.Parts).ChunksAsync(FilePath, context.Cancellation))
            last = chunk;
        return last!;
    }

    private async Task<string?> FaultOfAsync(SemelClient client)
    {
        var last = _writers.ToDictionary(w => w.WriterId, _ => 0UL);
        await foreach (var record in client.ReadRecordsAsync(FilePath, cancellationToken: context.Cancellation))
        {
            if (record.Sequence != last[record.WriterId] + 1)
                return $"after sequence {last[record.WriterId]} of writer {record.WriterId} comes {record.Sequence} at {record.Position}";
            last[record.WriterId] = record.Sequence;
        }
        foreach (var writer in _writers)
        {
            if (last[writer.WriterId] < (ulong)writer.Acknowledged)
                return $"{writer.Acknowledged} records of writer {writer.WriterId} were acknowledged, {last[writer.WriterId]} are there";
        }
        return null;
    }

    private void Report(List<double> gaps)
    {
        double[] sorted = [.. gaps.Order()];
        long records = _writers.Sum(w => w.Acknowledged);
        var shape = new Shape(victim.ToString().ToLowerInvariant(), rounds, writers, Math.Round(sorted[sorted.Length / 2], 1), Math.Round(sorted[^1], 1),
            [.. gaps.Select(g => Math.Round(g, 1))], records, Verified: true);
        context.Streams.WriteLine(context.Json
            ? JsonLine.Of(shape)
            : FormattableString.Invariant($"appends stood still for {shape.P50Ms:0} ms (median), at most {shape.MaxMs:0} ms, when a {shape.Victim} was killed; {records} records were acknowledged and read back"));
    }

    /// <summary>Appends one record at a time and knows how long each one took.</summary>
    private sealed class ProbeWriter(RecordWriter writer, TimeProvider time)
    {
        private static readonly TimeSpan Window = TimeSpan.FromSeconds(2);
        private static readonly byte[] Record = new byte[100];

        private readonly Lock _gate = new();
        private (long Since, double Longest, TaskCompletionSource<double> Answer)? _question;
        private long _began;

        public ulong WriterId => writer.WriterId;
        public long Acknowledged { get; private set; }

        public async Task RunAsync(CancellationToken stop)
        {
            while (!stop.IsCancellationRequested)
            {
                lock (_gate)
                    _began = time.GetTimestamp();
                await writer.AppendAsync(Record, CancellationToken.None);
                Acknowledged++;
                Answered();
            }
            await writer.DisposeAsync();
        }

        /// <summary>The longest append, milliseconds, of those that ended in the two seconds after the time, or of the first one that ends later than that.</summary>
        public Task<double> LongestWaitAsync(long since)
        {
            lock (_gate)
            {
                var answer = new TaskCompletionSource<double>(TaskCreationOptions.RunContinuationsAsynchronously);
                _question = (since, 0, answer);
                return answer.Task;
            }
        }

        private void Answered()
        {
            lock (_gate)
            {
                if (_question is not var (since, longest, answer))
                    return;
                longest = Math.Max(longest, time.GetElapsedTime(_began).TotalMilliseconds);
                // An append may still be answered after the signal was sent, and the one behind it waits: so look at all of them for a while.
                bool isPast = time.GetElapsedTime(since) > Window;
                _question = isPast ? null : (since, longest, answer);
                if (isPast)
                    answer.SetResult(longest);
            }
        }
    }
}
