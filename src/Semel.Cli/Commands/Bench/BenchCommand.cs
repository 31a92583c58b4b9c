using System.CommandLine;
using Semel.Cli.Terminal;
using Semel.Client;
using Semel.Protocol.Frames;

namespace Semel.Cli.Commands.Bench;

/// <summary><c>semel bench append</c></summary>
internal static class BenchCommand
{
    private const int DefaultRecordsInFlight = 16 * 1024;

    public static Command Create(VerbRunner run)
    {
        var command = new Command("bench", "Measure.");
        command.Subcommands.Add(Append(run));
        command.Subcommands.Add(FailoverBench.Create(run));
        return command;
    }

    private static Command Append(VerbRunner run)
    {
        var records = Parsing.Number("--records", 200_000, 1, 10_000_000_000, "How many records in all.");
        var size = Parsing.Size("--size", 1024, 0, 16 << 20, "Bytes of each record.");
        var writers = Parsing.Number("--writers", 8, 1, 10_000, "How many writers.");
        var files = Parsing.Number("--files", 1, 1, 10_000, "How many files the writers are spread over.");
        var replicas = Parsing.Number("--replicas", 3, 1, 16, "Copies of each chunk.");
        var durability = Parsing.Choice("--durability", FileDurability.Group, "group: acknowledged when flushed to the disks; memory: when in the page caches.");
        var delivery = new Option<string>("--delivery") { HelpName = "exactly-once|at-least-once", Description = "With or without sequence numbers.", DefaultValueFactory = _ => "exactly-once" };
        delivery.AcceptOnlyFromAmong("exactly-once", "at-least-once");
        var batch = Parsing.Number("--batch", 1, 1, RecordBatch.MaxRecords, "Records that are appended as one atomic batch.");
        var inFlight = Parsing.OptionalNumber("--in-flight", 1, 1_000_000, "Appends that each writer has under way; 1: one at a time. Default: 16,384 records over all writers, at least 64 each.");
        var chunkSize = Parsing.Size("--chunk-size", ChunkLimits.DefaultCapacity, ChunkLimits.MinCapacity, ChunkLimits.MaxCapacity, "Chunk size of the temporary cluster.");
        var chunkServers = Parsing.Number("--chunkservers", 3, 1, 16, "Chunk servers of the temporary cluster.");
        var warmUp = Parsing.Duration(new Option<TimeSpan?>("--warm-up") { Description = "Append to another file for so long before measuring. Default 2s.", HelpName = "DURATION" });
        var noWarmUp = new Option<bool>("--no-warm-up") { Description = "Measure from the first record on." };
        var verify = new Option<bool>("--verify") { Description = "Read everything back and compare. The default with exactly-once." };
        var noVerify = new Option<bool>("--no-verify") { Description = "Do not read back." };
        var command = new Command("append",
            "Measure appends in a closed loop. Without --master it starts a temporary cluster of processes (a master, three chunk servers) and removes it.")
        {
            records, size, writers, files, replicas, durability, delivery, batch, inFlight, chunkSize, chunkServers, warmUp, noWarmUp, verify, noVerify,
        };
        return run.Runs(command, async context =>
        {
            if (context.Get(verify) && context.Get(noVerify))
                throw CommandException.Usage("--verify and --no-verify contradict each other. Choose one.");
            if (context.Get(noWarmUp) && context.Get(warmUp) is not null)
                throw CommandException.Usage("--warm-up and --no-warm-up contradict each other. Choose one.");
            bool temporary = !context.IsGiven(GlobalOptions.Master) && Environment.GetEnvironmentVariable(GlobalOptions.MasterVariable) is null or "";
            if (!temporary && (context.IsGiven(chunkSize) || context.IsGiven(chunkServers)))
                throw CommandException.Usage("--chunk-size and --chunkservers are for the temporary cluster; --master names another one. Leave one of them out.");
            bool exactlyOnce = context.Get(delivery) == "exactly-once";
            int writerCount = (int)context.Get(writers);
            int batchSize = (int)context.Get(batch);
            var options = new BenchOptions(
                context.Get(records), (int)context.Get(size), writerCount, (int)context.Get(files), (int)context.Get(replicas), context.Get(durability),
                exactlyOnce ? Delivery.ExactlyOnce : Delivery.AtLeastOnce, batchSize,
                (int)(context.Get(inFlight) ?? Math.Max(1, Math.Max(64, DefaultRecordsInFlight / writerCount) / batchSize)),
                (uint)context.Get(chunkSize), (int)context.Get(chunkServers),
                context.Get(noWarmUp) ? TimeSpan.Zero : context.Get(warmUp) ?? TimeSpan.FromSeconds(2),
                context.Get(verify) || (exactlyOnce && !context.Get(noVerify)),
                temporary ? null : context.Master);
            options.Check();
            return await new AppendBench(context, options).RunAsync();
        });
    }
}
