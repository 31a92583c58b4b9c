using System.Text;
using Semel.Protocol.Scheduling;
using Semel.Storage.Disks;
using Semel.Storage.Journals;
using Xunit;

namespace Semel.Tests.Storage.Journals;

public sealed class JournalTests : IDisposable
{
    private readonly JournalFixture _fixture = new();

    public void Dispose() => _fixture.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1 << 16)]
    public async Task Entries_come_back_in_order_with_their_numbers(int fillAhead)
    {
        _fixture.Options.FillAheadBytes = fillAhead;
        string large = new('x', 3_000_000);

        await _fixture.AppendAsync("a", "", large);
        await _fixture.AppendAsync("b");

        Assert.Equal(["a", "", large, "b"], await _fixture.ReadAsync());
        Assert.Equal([1, 2, 3, 4], _fixture.Replayed.Select(e => e.Number));
        Assert.Empty(_fixture.Logger.Warnings);
    }

    [Fact]
    public async Task A_new_journal_begins_with_entry_1()
    {
        await using var journal = await _fixture.OpenAsync();

        Assert.Equal((1UL, 1UL, 0UL), (journal.FirstEntry, journal.NextEntry, journal.DurableEntry));
        Assert.Equal(1UL, journal.Append("a"u8));
        Assert.Equal(2UL, journal.Append("b"u8));
        await journal.WaitDurableAsync(2);
        Assert.Equal((1UL, 3UL, 2UL), (journal.FirstEntry, journal.NextEntry, journal.DurableEntry));
    }

    [Fact]
    public async Task One_flush_covers_everything_that_was_appended_before_it_began()
    {
        var flushes = new FlushGate(_fixture.Disk);
        var opening = _fixture.OpenAsync();
        (await flushes.NextAsync()).SetResult();
        await using var journal = await opening;

        ulong first = journal.Append("first"u8);
        var firstFlush = await flushes.NextAsync();
        var late = Enumerable.Range(0, 100).Select(_ => journal.WaitDurableAsync(journal.Append("late"u8)).AsTask()).ToList();
        Assert.False(journal.WaitDurableAsync(first).IsCompleted);
        firstFlush.SetResult();
        await journal.WaitDurableAsync(first);
        var secondFlush = await flushes.NextAsync();

        Assert.Equal(first, journal.DurableEntry);
        Assert.All(late, waiting => Assert.False(waiting.IsCompleted));

        secondFlush.SetResult();
        await Task.WhenAll(late);
        Assert.Equal(101UL, journal.DurableEntry);
        Assert.Equal(0, flushes.Waiting);
    }

    [Fact]
    public async Task Many_appenders_at_once_lose_nothing()
    {
        await using (var journal = await _fixture.OpenAsync())
        {
            await Task.WhenAll(Enumerable.Range(0, 8).Select(w => Task.Run(async () =>
            {
                for (int i = 0; i < 200; i++)
                {
                    ulong number = journal.Append(Encoding.UTF8.GetBytes($"{w}.{i}"));
                    await journal.WaitDurableAsync(number);
                    Assert.True(journal.DurableEntry >= number);
                }
            })));
        }

        var entries = await _fixture.ReadAsync();
        Assert.Equal(1600, entries.Distinct().Count());
        Assert.Equal(Enumerable.Range(1, 1600).Select(n => (ulong)n), _fixture.Replayed.Select(e => e.Number));
    }

    [Fact]
    public async Task What_is_read_at_opening_is_flushed_before_it_counts_as_durable()
    {
        await _fixture.AppendAsync("a");
        var flushes = new FlushGate(_fixture.Disk);

        var opening = _fixture.OpenAsync();
        var flush = await flushes.NextAsync();

        Assert.Single(_fixture.Replayed);
        Assert.False(opening.IsCompleted);
        flush.SetResult();
        await (await opening).DisposeAsync();
        Assert.Equal(["log/00000001.log", "log/", "log/witness"], _fixture.Disk.Flushed.TakeLast(3));
    }

    [Fact]
    public async Task After_a_failed_flush_every_call_fails_and_says_why()
    {
        var journal = await _fixture.OpenAsync();
        await journal.WaitDurableAsync(journal.Append("good"u8));
        _fixture.Disk.BeforeFlush = _ => throw new IOException("The device is gone.");

        var failing = journal.WaitDurableAsync(journal.Append("lost"u8));
        var failure = await Assert.ThrowsAsync<JournalFailedException>(async () => await failing);
        _fixture.Disk.BeforeFlush = _ => Task.CompletedTask;

        Assert.Contains("The device is gone.", failure.Message, StringComparison.Ordinal);
        Assert.Contains("up to 1 are durable", failure.Message, StringComparison.Ordinal);
        Assert.Throws<JournalFailedException>(() => journal.Append("more"u8));
        await Assert.ThrowsAsync<JournalFailedException>(async () => await journal.WaitDurableAsync(1));
        await Assert.ThrowsAsync<JournalFailedException>(async () => await journal.DeleteSegmentsBelowAsync(2));
        await journal.DisposeAsync();
    }

    [Fact]
    public async Task A_failure_reaches_those_who_collect_for_the_next_group_too()
    {
        var journal = await _fixture.OpenAsync();
        var flushes = new FlushGate(_fixture.Disk);
        ulong first = journal.Append("first"u8);
        var flush = await flushes.NextAsync();
        var second = journal.WaitDurableAsync(journal.Append("second"u8));

        flush.SetException(new IOException("The device is gone."));

        await Assert.ThrowsAsync<JournalFailedException>(async () => await second);
        await Assert.ThrowsAsync<JournalFailedException>(async () => await journal.WaitDurableAsync(first));
        await journal.DisposeAsync();
    }

    [Fact]
    public async Task A_full_disk_fails_the_journal_and_opening_it_again_finds_what_was_durable()
    {
        var journal = await _fixture.OpenAsync();
        await journal.WaitDurableAsync(journal.Append("good"u8));
        _fixture.Disk.BeforeWrite = (_, _) => throw new DiskFullException("No space.");

        await Assert.ThrowsAsync<JournalFailedException>(async () => await journal.WaitDurableAsync(journal.Append("lost"u8)));
        await journal.DisposeAsync();
        _fixture.Disk.BeforeWrite = (_, _) => { };

        Assert.Equal(["good"], await _fixture.ReadAsync());
    }

    [Fact]
    public async Task Closing_flushes_what_was_appended()
    {
        var journal = await _fixture.OpenAsync();
        journal.Append("a"u8);
        journal.Append("b"u8);
        await journal.DisposeAsync();
        await journal.DisposeAsync();

        Assert.Throws<ObjectDisposedException>(() => journal.Append("c"u8));
        Assert.Equal(["a", "b"], await _fixture.ReadAsync());
    }

    [Fact]
    public async Task Waiting_for_an_entry_that_was_never_appended_and_too_large_an_entry_are_the_callers_mistakes()
    {
        await using var journal = await _fixture.OpenAsync();

        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await journal.WaitDurableAsync(1));
        Assert.Throws<ArgumentException>(() => journal.Append(new byte[Journal.MaxEntryBytes + 1]));
        await journal.WaitDurableAsync(journal.Append(new byte[Journal.MaxEntryBytes]));
    }

    [Fact]
    public async Task The_flush_loop_stays_on_the_context_of_the_appender()
    {
        var journal = await _fixture.OpenAsync();
        var context = SerialContext.Create();
        bool always = true;
        _fixture.Disk.BeforeWrite = (_, _) => always &= context.IsCurrent;

        await JournalFixture.OnContextAsync(context, async () =>
        {
            for (int i = 0; i < 20; i++)
                await journal.WaitDurableAsync(journal.Append("a"u8));
        });

        Assert.True(always);
        await journal.DisposeAsync();
    }
}
