using System.CommandLine;
using Semel.Cli.Commands.Bench.Machine;
using Semel.Cli.Terminal;
using Semel.Client;
using Semel.Protocol.Frames;

namespace Semel.Cli.Commands.Bench;

/// <summary><c>semel bench append|tail|machine</c></summary>
internal static class BenchCommand
{
    private const int DefaultRecordsInFlight = 16 * 1024;
    private const long MostMemory = 1L << 40;

    public static Command Create(VerbRunner run)
    {
        var command = new Command("bench", "Measure.");
        command.Subcommands.Add(Append(run));
        command.Subcommands.Add(FailoverBench.Create(run));
        command.Subcommands.Add(Tail(run));
        command.Subcommands.Add(OfMachine(run));
        return command;
    }

    private static Command Append(VerbRunner run)
    {
        var load = new LoadOptions(defaultSize: 1024);
        var files = Parsing.Number("--files", 1, 1, 10_000, "How many files the writers are spread over.");
        var delivery = new Option<string>("--delivery") { HelpName = "exactly-once|at-least-once", Description = "With or without sequence numbers.", DefaultValueFactory = _ => "exactly-once" };
        delivery.AcceptOnlyFromAmong("exactly-once", "at-least-once");
        var batch = Parsing.Number("--batch", 1, 1, RecordBatch.MaxRecords, "Records that are appended as one atomic batch.");
        var known = Parsing.Number("--known-writers", 0, 0, 9_900, "Writers that each file of a run knows already and that append nothing.");
        var command = new Command("append",
            "Measure appends. Without --master it starts a temporary cluster of processes (a master, three chunk servers) and removes it.") { files, delivery, batch, known };
        load.AddTo(command);
        return run.Runs(command, async context => await new AppendBench(context, load.Read(
            context, (int)context.Get(files), context.Get(delivery) == "exactly-once" ? Delivery.ExactlyOnce : Delivery.AtLeastOnce, (int)context.Get(batch), (int)context.Get(known), readers: 0)).RunAsync());
    }

    private static Command Tail(VerbRunner run)
    {
        var load = new LoadOptions(defaultSize: 100);
        var readers = Parsing.Number("--readers", 8, 1, 1_000, "How many readers follow the file.");
        var command = new Command("tail",
            "Measure how fast records reach readers that follow the file, and what the readers cost the writers: each run is made without and with them.") { readers };
        load.AddTo(command);
        return run.Runs(command, async context =>
            await new AppendBench(context, load.Read(context, 1, Delivery.ExactlyOnce, 1, 0, (int)context.Get(readers))).RunAsync());
    }

    private static Command OfMachine(VerbRunner run)
    {
        var warmMemory = WarmMemory();
        var command = new Command("machine", "Measure what this machine can do at best: checksums, memory, loopback, the temporary directory's disk.") { warmMemory };
        return run.Runs(command, async context =>
        {
            if (context.IsGiven(GlobalOptions.Master))
                throw CommandException.Usage("--master has no meaning here: it is this machine that is measured. Leave it out.");
            using var pages = context.Get(warmMemory) > 0 ? PageCache.Fill(context.Get(warmMemory), context.Cancellation) : null;
            var shape = await MachineLimits.MeasureAsync(context.Time, context.Cancellation);
            context.Streams.WriteLine(context.Json ? JsonLine.Of(shape) : shape.ToText());
        });
    }

    private static Option<long> WarmMemory() => Parsing.Size("--warm-memory", 0, 0, MostMemory,
        "First fill so much of the free memory with pages that the kernel can take back, so that no write pays for memory that a virtual machine has to ask its host for. Nearly all that is free.");

    /// <summary>What both kinds of load have in common.</summary>
    private sealed class LoadOptions(long defaultSize)
    {
        private readonly Option<long> _records = Parsing.Number("--records", 200_000, 1, 10_000_000_000, "How many records in all, in each run.");
        private readonly Option<TimeSpan?> _duration = Parsing.Duration(new Option<TimeSpan?>("--duration") { Description = "Append for so long in each run, instead of a number of records.", HelpName = "DURATION" });
        private readonly Option<long> _size = Parsing.Size("--size", defaultSize, 0, 16 << 20, "Bytes of each record.");
        private readonly Option<long> _writers = Parsing.Number("--writers", 8, 1, 10_000, "How many writers.");
        private readonly Option<long> _replicas = Parsing.Number("--replicas", 3, 1, 16, "Copies of each chunk.");
        private readonly Option<FileDurability> _durability = Parsing.Choice("--durability", FileDurability.Group, "group: acknowledged when flushed to the disks; memory: when in the page caches.");
        private readonly Option<long?> _inFlight = Parsing.OptionalNumber("--in-flight", 1, 1_000_000, "A closed loop: appends that each writer has under way; 1: one at a time. Default: 16,384 records over all writers, at least 64 each.");
        private readonly Option<long?> _rate = Parsing.OptionalNumber("--rate", 1, 100_000_000, "An open loop: start so many records per second, whatever becomes of those before, and count latencies from when each was due.");
        private readonly Option<long> _chunkSize = Parsing.Size("--chunk-size", ChunkLimits.DefaultCapacity, ChunkLimits.MinCapacity, ChunkLimits.MaxCapacity, "Chunk size of the temporary cluster.");
        private readonly Option<long> _chunkServers = Parsing.Number("--chunkservers", 3, 1, 16, "Chunk servers of the temporary cluster.");
        private readonly Option<TimeSpan?> _warmUp = Parsing.Duration(new Option<TimeSpan?>("--warm-up", "--warmup") { Description = "Append to other files for so long before measuring. Default 5s.", HelpName = "DURATION" });
        private readonly Option<bool> _noWarmUp = new("--no-warm-up") { Description = "Measure from the first record on." };
        private readonly Option<long> _runs = Parsing.Number("--runs", 1, 1, 1_000, "How often to measure; figures are then medians.");
        private readonly Option<bool> _verify = new("--verify") { Description = "Read everything back and compare. The default with exactly-once." };
        private readonly Option<bool> _noVerify = new("--no-verify") { Description = "Do not read back." };
        private readonly Option<bool> _machine = new("--machine") { Description = "Measure the machine's limits too, just before." };
        private readonly Option<long> _warmMemory = WarmMemory();

        public void AddTo(Command command)
        {
            foreach (Option option in new Option[]
            {
                _records, _duration, _size, _writers, _replicas, _durability, _inFlight, _rate, _chunkSize, _chunkServers, _warmUp, _noWarmUp, _runs, _verify, _noVerify, _machine, _warmMemory,
            })
                command.Options.Add(option);
        }

        /// <exception cref="CommandException">Options contradict each other.</exception>
        public BenchOptions Read(CommandContext context, int files, Delivery delivery, int batch, int knownWriters, int readers)
        {
            if (context.Get(_verify) && context.Get(_noVerify))
                throw CommandException.Usage("--verify and --no-verify contradict each other. Choose one.");
            if (context.Get(_noWarmUp) && context.Get(_warmUp) is not null)
                throw CommandException.Usage("--warm-up and --no-warm-up contradict each other. Choose one.");
            if (context.Get(_rate) is not null && context.Get(_inFlight) is not null)
                throw CommandException.Usage("--rate starts appends whatever is under way; --in-flight bounds what is under way. Choose one.");
            var duration = context.Get(_duration);
            if (duration is not null && context.IsGiven(_records))
                throw CommandException.Usage("--records and --duration contradict each other. Choose one.");
            if (duration is not null && readers > 0)
                throw CommandException.Usage("--duration leaves open how many records the readers have to wait for. Give --records instead.");
            long records = duration is not { } span ? context.Get(_records) : context.Get(_rate) is { } perSecond ? (long)Math.Ceiling(perSecond * span.TotalSeconds) : long.MaxValue;
            bool temporary = !context.IsGiven(GlobalOptions.Master) && Environment.GetEnvironmentVariable(GlobalOptions.MasterVariable) is null or "";
            if (!temporary && (context.IsGiven(_chunkSize) || context.IsGiven(_chunkServers)))
                throw CommandException.Usage("--chunk-size and --chunkservers are for the temporary cluster; --master names another one. Leave one of them out.");
            int writers = (int)context.Get(_writers);
            var options = new BenchOptions(
                records, duration, (int)context.Get(_size), writers, files, (int)context.Get(_replicas), context.Get(_durability), delivery, batch,
                (int)(context.Get(_inFlight) ?? Math.Max(1, Math.Max(64, DefaultRecordsInFlight / writers) / batch)), context.Get(_rate), knownWriters, readers,
                (uint)context.Get(_chunkSize), (int)context.Get(_chunkServers),
                context.Get(_noWarmUp) ? TimeSpan.Zero : context.Get(_warmUp) ?? TimeSpan.FromSeconds(5), (int)context.Get(_runs),
                context.Get(_verify) || (delivery is Delivery.ExactlyOnce && !context.Get(_noVerify)), context.Get(_machine), context.Get(_warmMemory),
                temporary ? null : context.Master);
            options.Check();
            return options;
        }
    }
}
