using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.Protocol;
using Semel.Storage.Disks;
using Semel.Storage.Journals;

namespace Semel.Master.OperationLog;

/// <summary>
/// The master's operation log: an entry is appended and applied in one step, and becomes durable later, together with others (group commit).
/// Whatever follows from an entry (a reply, a message to a chunk server) leaves only after <see cref="DurableAsync"/>.
/// </summary>
internal sealed class OperationJournal : IAsyncDisposable
{
    public const string DirectoryName = "log";

    private readonly MasterState _state;
    private readonly Journal _journal;
    private byte[] _buffer = new byte[1024];
    private ulong _last;

    private OperationJournal(MasterState state, Journal journal) => (_state, _journal, _last) = (state, journal, journal.NextEntry - 1);

    /// <summary>Opens or creates the log, and applies all of it to the state.</summary>
    /// <exception cref="IOException">The log is damaged, or written by a newer version.</exception>
    public static async ValueTask<OperationJournal> OpenAsync(IDisk disk, MasterState state, TimeProvider time, ILogger logger)
    {
        var journal = await Journal.OpenAsync(disk, DirectoryName, new JournalOptions(), (number, bytes) => Replay(state, number, bytes), time, logger);
        return new OperationJournal(state, journal);
    }

    /// <summary>No entry was ever appended.</summary>
    public bool IsEmpty => _last == 0;

    /// <summary>Number of the last entry; it need not be durable yet.</summary>
    public ulong LastEntry => _last;

    /// <summary>Every entry up to this one is durable.</summary>
    public ulong DurableEntry => _journal.DurableEntry;

    public void Append(LogEntry entry)
    {
        int size = entry.CalculateSize();
        if (size > _buffer.Length)
            _buffer = new byte[size * 2];
        entry.WriteTo(_buffer.AsSpan(0, size));
        _last = _journal.Append(_buffer.AsSpan(0, size));
        _state.Apply(entry, _last);
    }

    /// <summary>Completes when everything that was appended before the call is durable.</summary>
    public ValueTask DurableAsync() => _last == 0 ? ValueTask.CompletedTask : _journal.WaitDurableAsync(_last);

    /// <summary>Ends when the log was closed, or with the cause as soon as it failed.</summary>
    public Task Completion => _journal.Completion;

    public ValueTask DisposeAsync() => _journal.DisposeAsync();

    private static void Replay(MasterState state, ulong number, ReadOnlyMemory<byte> bytes)
    {
        LogEntry entry;
        try
        {
            entry = LogEntry.Parser.ParseFrom(bytes.Span);
            state.Apply(entry, number);
        }
        catch (Exception e) when (e is InvalidProtocolBufferException or InvariantViolationException)
        {
            throw new IOException($"Entry {number} of the operation log does not follow from the entries before it: {e.Message} "
                + "Nothing was changed. Put back a copy of the master's data directory, or start the version of Semel that wrote it.", e);
        }
    }
}
