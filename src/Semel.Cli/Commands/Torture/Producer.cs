using System.Globalization;
using System.Text;
using Semel.Client;
using Semel.Protocol.Checksums;

namespace Semel.Cli.Commands.Torture;

/// <summary>
/// Appends records under one name and writes down what it sends and is told. Now and then it forgets its writer with appends under way and opens the name
/// again, as a process that was killed and started would, and goes on where the file says.
/// </summary>
internal sealed class Producer(SemelClient client, History history, string path, string name, int seed, TimeProvider time)
{
    private const int MostUnderWay = 64;
    private const int LargestRecord = 200_000;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly SemaphoreSlim _room = new(MostUnderWay);
    private readonly List<Task> _forgotten = [];
    private long _acknowledged;

    /// <summary>Appends for this producer alone.</summary>
    public SemelClient Client => client;

    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    /// <summary>Appends until told to stop, then waits until everything that its last incarnation sent is acknowledged.</summary>
    /// <param name="stop">No more new records.</param>
    /// <param name="giveUp">No more waiting.</param>
    public async Task RunAsync(CancellationToken stop, CancellationToken giveUp)
    {
        var random = new Random(seed);
        while (!stop.IsCancellationRequested)
        {
            var writer = await OpenAsync(stop);
            if (writer is null)
                break;
            var acknowledgements = await AppendAsync(writer, random, stop);
            if (stop.IsCancellationRequested)
            {
                await Task.WhenAll(acknowledgements).WaitAsync(giveUp);
                await writer.DisposeAsync();
            }
            else
            {
                _forgotten.Add(ForgetAsync(writer, acknowledgements));
            }
        }
        await Task.WhenAll(_forgotten).WaitAsync(giveUp);
    }

    private async Task<RecordWriter?> OpenAsync(CancellationToken stop)
    {
        while (true)
        {
            try
            {
                var writer = await client.OpenWriterAsync(path, new WriterOptions { Name = name }, stop);
                history.Add(new HistoryLine
                {
                    Event = HistoryLine.Open,
                    Path = path,
                    Writer = name,
                    Id = writer.WriterId,
                    Epoch = writer.Epoch,
                    Seq = writer.LastSequence,
                });
                return writer;
            }
            catch (SemelException)
            {
                // The cluster is not well at the moment; that is what all this is about.
                await Task.Delay(Pause, time, CancellationToken.None);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return null;
            }
        }
    }

    /// <summary>The records of one incarnation. The tasks never fail.</summary>
    private async Task<List<Task>> AppendAsync(RecordWriter writer, Random random, CancellationToken stop)
    {
        var acknowledgements = new List<Task>();
        var broken = new TaskCompletionSource();
        int count = random.Next(100, 1500);
        ulong sequence = writer.LastSequence;
        try
        {
            for (int i = 0; i < count && !broken.Task.IsCompleted; i++)
            {
                await _room.WaitAsync(stop);
                byte[] record = Record(++sequence);
                history.Add(new HistoryLine { Event = HistoryLine.Sent, Writer = name, Seq = sequence, Crc = Crc32C.Compute(record) });
                acknowledgements.Add(AcknowledgedAsync(writer.AppendAsync(record, CancellationToken.None), sequence, broken));
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(0, 40)), time, stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Enough.
        }
        return acknowledgements;
    }

    private async Task AcknowledgedAsync(ValueTask<AppendResult> append, ulong sequence, TaskCompletionSource broken)
    {
        try
        {
            var result = await append;
            Interlocked.Increment(ref _acknowledged);
            history.Add(new HistoryLine { Event = HistoryLine.Acknowledged, Writer = name, Seq = sequence, Pos = result.Position?.ToString(), What = result.Sequence == sequence ? null : "other sequence" });
        }
        catch (SemelException)
        {
            // In doubt, or not appended: the next incarnation is told which.
            broken.TrySetResult();
        }
        finally
        {
            _room.Release();
        }
    }

    private static async Task ForgetAsync(RecordWriter writer, List<Task> acknowledgements)
    {
        await Task.WhenAll(acknowledgements);
        await writer.DisposeAsync();
    }

    /// <summary>The same bytes for the same sequence, whichever incarnation sends them: mostly some hundred, sometimes none, sometimes many.</summary>
    private byte[] Record(ulong sequence)
    {
        var random = new Random(unchecked((seed * 486_187_739) + (int)sequence));
        int length = random.Next(100) switch
        {
            0 => 0,
            1 => random.Next(LargestRecord),
            _ => random.Next(20, 3000),
        };
        var record = new byte[length];
        random.NextBytes(record);
        byte[] text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{name}:{sequence} "));
        text.AsSpan(0, Math.Min(text.Length, length)).CopyTo(record);
        return record;
    }
}
