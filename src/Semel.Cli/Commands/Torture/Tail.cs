using Semel.Client;
using Semel.Protocol.Checksums;

namespace Semel.Cli.Commands.Torture;

/// <summary>Follows a file from its beginning and writes down what it sees. After a failure it goes on behind the last record that it saw.</summary>
internal sealed class Tail(SemelClient client, History history, string path, string name, TimeProvider time)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private long _seen;

    public string Path => path;
    public long Seen => Interlocked.Read(ref _seen);

    public async Task RunAsync(CancellationToken stop)
    {
        var position = RecordPosition.Start;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await foreach (var record in client.ReadRecordsAsync(path, new ReadOptions { From = position, Follow = true }, stop))
                {
                    history.Add(new HistoryLine
                    {
                        Event = HistoryLine.Read,
                        Reader = name,
                        Path = path,
                        Pos = record.Position.ToString(),
                        Id = record.WriterId,
                        Seq = record.Sequence,
                        Crc = Crc32C.Compute(record.Data.Span),
                    });
                    position = record.Position.Next;
                    Interlocked.Increment(ref _seen);
                }
            }
            catch (Exception e) when (e is SemelException || (e is OperationCanceledException && stop.IsCancellationRequested))
            {
                await Task.Delay(Pause, time, CancellationToken.None);
            }
        }
    }
}
