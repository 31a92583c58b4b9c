// Follows a file and prints its records. What it has handled is kept in a small file, so that after a crash it goes on with the next record.
//
//     dotnet run --project samples/TailingConsumer -- localhost:7070 /samples/numbers numbers.position

using System.Text;
using Semel.Client;

if (args.Length != 3)
{
    Console.Error.WriteLine("usage: TailingConsumer MASTER PATH POSITION-FILE");
    return 2;
}

string positionFile = args[2];
var position = File.Exists(positionFile) ? RecordPosition.Parse(await File.ReadAllTextAsync(positionFile)) : RecordPosition.Start;

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

await using var client = SemelClient.Connect(args[0]);
while (true)
{
    try
    {
        var options = new ReadOptions { From = position, Follow = true };
        await foreach (var record in client.ReadRecordsAsync(args[1], options, stop.Token))
        {
            Console.WriteLine($"{record.Position}\t{record.Time:O}\t{Encoding.UTF8.GetString(record.Data.Span)}");
            position = record.Position.Next;

            // Handle first, then keep the position: a crash in between repeats one record. To handle each record exactly once, keep
            // the position in the same transaction as the effect of handling it.
            await File.WriteAllTextAsync(positionFile + ".new", position.ToString());
            File.Move(positionFile + ".new", positionFile, overwrite: true);
        }
    }
    catch (OperationCanceledException) when (stop.IsCancellationRequested)
    {
        return 130;
    }
    catch (SemelException e) when (e.IsRetryable)
    {
        Console.Error.WriteLine($"{e.Message} Going on at {position}.");
    }
    catch (SemelException e)
    {
        Console.Error.WriteLine(e.Message);
        return 1;
    }
}
