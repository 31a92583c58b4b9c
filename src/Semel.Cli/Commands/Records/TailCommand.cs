using System.CommandLine;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary><c>semel tail PATH</c>: the last records, and with <c>-f</c> all that come.</summary>
internal static class TailCommand
{
    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "A file." };
        var count = Parsing.Number("--lines", 10, 0, 1_000_000, "Begin with so many of the last records.");
        count.Aliases.Add("-n");
        var follow = new Option<bool>("--follow", "-f") { Description = "Wait for more records, until interrupted." };
        var raw = ReadFlags.Raw();
        var lengthPrefixed = ReadFlags.LengthPrefixed();
        return run.Runs(new Command("tail", "Write a file's last records to standard output, a line each.") { path, count, follow, raw, lengthPrefixed }, async context =>
        {
            string file = context.Path(path);
            var separation = ReadFlags.SeparationOf(context, raw, lengthPrefixed);
            await using var client = context.Connect();
            var (last, next) = await LastRecordsAsync(client, file, (int)context.Get(count), context.Cancellation);
            await using var output = new BufferedStream(context.Streams.Output, 256 * 1024);
            foreach (var record in last)
                ReadFlags.Write(output, record.Span, separation);
            last.Clear();
            if (context.Get(follow))
                await FollowAsync(client, file, next, output, separation, context.Cancellation);
        });
    }

    /// <summary>Reads the last chunk, and the ones before it while there are too few records in it.</summary>
    private static async Task<(Queue<ReadOnlyMemory<byte>> Last, RecordPosition Next)> LastRecordsAsync(
        SemelClient client, string file, int count, CancellationToken cancellation)
    {
        var status = await client.StatAsync(file, cancellation);
        ulong chunks = (ulong)status.Chunks;
        ulong first = chunks == 0 ? 0 : chunks - 1;
        while (true)
        {
            var last = new Queue<ReadOnlyMemory<byte>>();
            var next = new RecordPosition(first, 0, 0, status.FileId);
            await foreach (var record in client.ReadRecordsAsync(file, new ReadOptions { From = next }, cancellation))
            {
                last.Enqueue(record.Data);
                if (last.Count > count)
                    last.Dequeue();
                next = record.Position.Next;
            }
            if (last.Count == count || first == 0)
                return (last, next);
            first--;
        }
    }

    private static async Task FollowAsync(
        SemelClient client, string file, RecordPosition next, BufferedStream output, Separation separation, CancellationToken cancellation)
    {
        var options = new ReadOptions { From = next, Follow = true };
        await foreach (var record in RecordFeed.ReadAsync(client, file, options, output.FlushAsync, cancellation))
            ReadFlags.Write(output, record.Data.Span, separation);
    }
}
