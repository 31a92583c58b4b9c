using System.Runtime.CompilerServices;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary>
/// The records of a file as they come. Whenever the next one is not there yet, what was written of those before is flushed.
/// </summary>
internal static class RecordFeed
{
    public static async IAsyncEnumerable<SemelRecord> ReadAsync(
        SemelClient client, string file, ReadOptions options, Func<CancellationToken, Task> flush,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        await using var records = client.ReadRecordsAsync(file, options, stop.Token).GetAsyncEnumerator(stop.Token);
        while (true)
        {
            var more = records.MoveNextAsync();
            if (!(more.IsCompleted ? await more : await FlushMeanwhileAsync(more.AsTask())))
                yield break;
            yield return records.Current;
        }

        async Task<bool> FlushMeanwhileAsync(Task<bool> more)
        {
            try
            {
                await flush(cancellation);
            }
            catch
            {
                // A reader that is under way cannot be disposed: that would hide why the writing ended, behind a stack trace.
                stop.Cancel();
                await Task.WhenAny(more);
                throw;
            }
            return await more;
        }
    }
}
