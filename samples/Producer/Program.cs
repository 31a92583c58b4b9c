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

    // The line number is the record's sequence, so the writer knows which lines are in the file already; the last of them are compared with
    // what is there.
    ulong line = 0, resumed = writer.LastSequence, compared = 0;
    while (await Console.In.ReadLineAsync(stop.Token) is { } text)
    {
        byte[] record = Encoding.UTF8.GetBytes(text);
        if (++line > resumed)
            await writer.EnqueueAsync(record, stop.Token);
        else if ((await writer.AppendAsync(line, record, stop.Token)).Comparison == ReplayComparison.Equal)
            compared++;
    }
    await writer.FlushAsync(stop.Token);
    if (line < resumed)
    {
        Console.Error.WriteLine($"{resumed} lines of this writer are in the file, the input has {line}: it is another one. Choose another writer name for it.");
        return 4;
    }

    Console.Error.WriteLine($"{line} lines; {resumed} were in the file before ({compared} of them compared), the others are now, durably.");
    return 0;
}
catch (OperationIdReusedException e)
{
    Console.Error.WriteLine($"Nothing was appended. {e.Message}");
    return 4;
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
