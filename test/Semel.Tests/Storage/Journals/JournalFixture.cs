using System.Text;
using Semel.Protocol.Scheduling;
using Semel.Storage.Journals;

namespace Semel.Tests.Storage.Journals;

/// <summary>A journal in a directory of its own, and the bytes of its files.</summary>
internal sealed class JournalFixture : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public JournalFixture() => Disk = new WatchedDisk(_directory.Path);

    public WatchedDisk Disk { get; }
    public ListLogger Logger { get; } = new();
    public JournalOptions Options { get; } = new() { SegmentBytes = 1 << 20, FillAheadBytes = 0 };

    /// <summary>What the last <see cref="OpenAsync"/> replayed.</summary>
    public List<(ulong Number, string Text)> Replayed { get; } = [];

    public async Task<Journal> OpenAsync()
    {
        Replayed.Clear();
        Logger.Entries.Clear();
        return await Journal.OpenAsync(Disk, "log", Options, (n, bytes) => Replayed.Add((n, Encoding.UTF8.GetString(bytes.Span))), Logger);
    }

    /// <summary>Opens, appends each entry in a group of its own, closes.</summary>
    public async Task AppendAsync(params string[] entries)
    {
        await using var journal = await OpenAsync();
        foreach (string entry in entries)
            await journal.WaitDurableAsync(journal.Append(Encoding.UTF8.GetBytes(entry)));
    }

    /// <summary>Opens, appends all entries in one group, closes.</summary>
    public async Task AppendGroupAsync(params string[] entries)
    {
        await using var journal = await OpenAsync();
        await OnContextAsync(SerialContext.Create(), () =>
        {
            // The flush loop comes behind this step.
            foreach (string entry in entries)
                journal.Append(Encoding.UTF8.GetBytes(entry));
            return Task.CompletedTask;
        });
    }

    /// <summary>Runs a flow on the context.</summary>
    public static Task OnContextAsync(SerialContext context, Func<Task> flow)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        context.Post(async () =>
        {
            try
            {
                await flow();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Opens, and says what was replayed.</summary>
    public async Task<string[]> ReadAsync()
    {
        await (await OpenAsync()).DisposeAsync();
        return [.. Replayed.Select(e => e.Text)];
    }

    public string PathOf(int segment) => _directory[$"log/{segment:d8}.log"];
    public byte[] Bytes(int segment = 1) => File.ReadAllBytes(PathOf(segment));
    public void Replace(byte[] bytes, int segment = 1) => File.WriteAllBytes(PathOf(segment), bytes);
    public int Segments => Directory.GetFiles(_directory["log"]).Length;

    public void Dispose() => _directory.Dispose();
}
