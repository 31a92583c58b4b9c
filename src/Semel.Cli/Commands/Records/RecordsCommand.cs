using System.CommandLine;
using System.Globalization;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary><c>semel records PATH</c>: where each record is and who wrote it, not what is in it.</summary>
internal static class RecordsCommand
{
    public static Command Create(VerbRunner run)
    {
        var path = new Argument<string>("path") { Description = "A file." };
        var from = ReadFlags.From();
        var follow = new Option<bool>("--follow", "-f") { Description = "Wait for more records, until interrupted." };
        var limit = Parsing.OptionalNumber("--limit", 1, long.MaxValue, "At most so many records.");
        limit.Aliases.Add("-n");
        return run.Runs(new Command("records", "List records: chunk, offset, length, writer, epoch, sequence, time.") { path, from, follow, limit }, async context =>
        {
            string file = context.Path(path);
            await using var client = context.Connect();
            long capacity = (await client.StatAsync(file, context.Cancellation)).ChunkCapacity;
            await using var output = context.Streams.NewTextOutput();
            if (!context.Json)
                output.WriteLine("chunk     offset     length  writer  epoch    sequence  time");
            long left = context.Get(limit) ?? long.MaxValue;
            var options = new ReadOptions { From = context.Get(from), Follow = context.Get(follow) };
            await foreach (var record in RecordFeed.ReadAsync(client, file, options, output.FlushAsync, context.Cancellation))
            {
                Write(output, record, capacity, context.Json);
                if (--left == 0)
                    break;
            }
        });
    }

    /// <summary>Written by hand: there may be millions of these lines.</summary>
    private static void Write(StreamWriter output, SemelRecord record, long capacity, bool json)
    {
        long offset = record.OffsetInFile - ((long)record.Position.ChunkIndex * capacity);
        var culture = CultureInfo.InvariantCulture;
        if (json)
        {
            output.WriteLine(string.Create(culture,
                $$"""{"chunk":{{record.Position.ChunkIndex}},"offset":{{offset}},"length":{{record.Data.Length}},"writer":{{record.WriterId}},"epoch":{{record.Epoch}},"sequence":{{record.Sequence}},"time":"{{record.Time.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ}}","position":"{{record.Position}}"}"""));
        }
        else
        {
            output.WriteLine(string.Create(culture,
                $"{record.Position.ChunkIndex,5} {offset,10} {record.Data.Length,10} {record.WriterId,7} {record.Epoch,6} {record.Sequence,11}  {record.Time.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ}"));
        }
    }
}
