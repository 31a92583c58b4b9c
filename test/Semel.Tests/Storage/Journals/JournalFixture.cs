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
        return await Journal.OpenAsync(Disk, "log", Options, (n, bytes) => Replayed.Add((n, Encoding.UTF8.GetString(bytes.Span))), TimeProvider.System, Logger);
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

    /// <summary>As <see cref="AppendAsync"/>, but the process dies before it can write the witness.</summary>
    public Task AppendAndDieAsync(params string[] entries) => DyingAsync(() => AppendAsync(entries));

    /// <summary>As <see cref="AppendGroupAsync"/>, but the process dies before it can write the witness.</summary>
    public Task AppendGroupAndDieAsync(params string[] entries) => DyingAsync(() => AppendGroupAsync(entries));

    private async Task DyingAsync(Func<Task> flow)
    {
        byte[]? before = Witness;
        await flow();
        Witness = before;
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

    /// <summary>The bytes of the witness; null: there is none.</summary>
    public byte[]? Witness
    {
        get => File.Exists(_directory["log/witness"]) ? File.ReadAllBytes(_directory["log/witness"]) : null;
        set
        {
            File.Delete(_directory["log/witness"]);
            if (value is not null)
                File.WriteAllBytes(_directory["log/witness"], value);
        }
    }

    public int Segments => Directory.GetFiles(_directory["log"], "*.log").Length;

    public void Dispose() => _directory.Dispose();
}
