// Appends standard input to a file, a record for each line, each exactly once: stop it at any time, run it again with the same input and
// writer name, and it goes on where it got.
//
//     seq 1000000 | dotnet run --project samples/Producer -- localhost:7070 /samples/numbers import-1

using System.Text;
using Semel.Client;

if (args.Length != 3)
{
    Console.Error.WriteLine("usage: Producer MASTER PATH WRITER-NAME < lines");
    return 2;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

try
{
    await using var client = SemelClient.Connect(args[0]);
    await client.CreateAsync(args[1], new CreateOptions { CreateParents = true, OpenIfExists = true }, stop.Token);
    await using var writer = await client.OpenWriterAsync(args[1], new WriterOptions { Name = args[2] }, stop.Token);

    // The line number is the record's sequence, so the writer knows which lines are in the file already.
    ulong line = 0, resumed = writer.LastSequence;
    while (await Console.In.ReadLineAsync(stop.Token) is { } text)
    {
        if (++line > resumed)
            await writer.EnqueueAsync(Encoding.UTF8.GetBytes(text), stop.Token);
    }
    await writer.FlushAsync(stop.Token);

    Console.Error.WriteLine($"{line} lines; {Math.Min(line, resumed)} were in the file before, the others are now, durably.");
    return 0;
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("Stopped. Run it again with the same input and writer name to go on.");
    return 130;
}
catch (SemelException e)
{
    Console.Error.WriteLine(e.Message);
    return e.InDoubt ? 6 : e.IsRetryable ? 5 : 1;
}
