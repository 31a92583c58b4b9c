using Microsoft.Extensions.Logging;
using Semel.Protocol;
using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>
/// An append-only log of opaque entries, numbered from 1 without gaps, in the segments <c>00000001.log</c>, <c>00000002.log</c> ... of one directory.
/// The bytes are described in <c>docs/internals/journal.md</c>, <see cref="SegmentHeader"/> and <see cref="EntryHeader"/>.
/// </summary>
/// <remarks>
/// <para>Group commit: an entry is collected in memory; one write and one flush cover everything that was collected while the flush before ran. Groups follow
/// one another: a group is written when the one before it is durable.</para>
/// <para>The journal has no thread. Its flush loop runs where the first <see cref="Append"/> of an idle journal was called (its <see cref="SynchronizationContext"/>).
/// Appending never waits; what bounds the memory is that the callers wait for durability before they go on.</para>
/// <para>Thread-safe.</para>
/// </remarks>
public sealed class Journal : IAsyncDisposable
{
    /// <summary>Largest entry.</summary>
    public const int MaxEntryBytes = 16 << 20;

    private static readonly byte[] Zeros = new byte[64 << 10];

    private readonly IDisk _disk;
    private readonly string _directory;
    private readonly JournalOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _idle;           // rings when there was nothing to write for a while

    // Owned by the flush loop.
    private readonly WitnessFile _witness;
    private long _witnessedAt;               // timestamp
    private bool _witnessFails;              // for want of space
    private IDiskFile _file;
    private long _tail;      // where the next group goes
    private long _filled;    // zeros are written from _tail to here

    private readonly Lock _gate = new();     // guards the rest
    private readonly List<Segment> _segments;
    private JournalGroup _collecting = new();
    private JournalGroup _flushing = new();
    private ulong _next;
    private ulong _durable;
    private ulong _witnessed;                // the last entry of which the witness tells
    private Task? _loop;                     // null: idle
    private SynchronizationContext? _context; // where the loop ran last
    private JournalFailedException? _failure;
    private bool _closed;
    private bool _deleting;

    private Journal(
        IDisk disk, string directory, JournalOptions options, TimeProvider time, ILogger logger, WitnessFile witness, List<Segment> segments, IDiskFile file, long tail, ulong next)
    {
        _disk = disk;
        _directory = directory;
        _options = options;
        _time = time;
        _logger = logger;
        _witness = witness;
        _segments = segments;
        _file = file;
        _tail = tail;
        _filled = tail;
        _next = next;
        _durable = next - 1;
        _idle = time.CreateTimer(static journal => ((Journal)journal!).BecameIdle(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>
    /// Opens the journal in the directory, or creates it. Calls <paramref name="replay"/> for every entry, in order, before it returns; the bytes are valid
    /// during the call. On return everything that was replayed is durable.
    /// </summary>
    /// <remarks>
    /// A write that a crash left incomplete at the end of the last segment is cut, with a warning. The journal's witness is written before
    /// the call returns and from then on, so that the next opening can tell such a write from damage.
    /// </remarks>
    /// <exception cref="JournalCorruptException">Entries that had been durable cannot be read.</exception>
    /// <exception cref="IOException">The disk failed, or a newer version of Semel wrote the journal.</exception>
    public static async ValueTask<Journal> OpenAsync(
        IDisk disk, string directory, JournalOptions options, Action<ulong, ReadOnlyMemory<byte>> replay, TimeProvider time, ILogger logger)
    {
        disk.CreateDirectory(directory);
        await disk.FlushDirectoryAsync(ParentOf(directory));
        var witness = new WitnessFile(disk, directory);
        var recovery = new JournalRecovery(disk, directory, witness, logger);
        await recovery.RunAsync(replay);

        var segments = recovery.Segments.ToList();
        var file = recovery.Tail;
        long tail = recovery.TailOffset;
        if (file is null)
        {
            var first = new Segment(1, recovery.NextEntry);
            file = await CreateSegmentAsync(disk, directory, first, options);
            segments.Add(first);
            tail = SegmentHeader.Size;
        }
        if (witness.Fault is { } fault)
            logger.WitnessUnreadable(witness.Path, fault, recovery.NextEntry - 1);
        else if (witness.Found is null)
            logger.WitnessCreated(directory, recovery.NextEntry - 1);
        logger.JournalOpened(directory, recovery.Entries, segments.Count, recovery.NextEntry);
        var journal = new Journal(disk, directory, options, time, logger, witness, segments, file, tail, recovery.NextEntry);
        try
        {
            await journal.WriteWitnessAsync();
            return journal;
        }
        catch
        {
            journal.CloseFiles();
            throw;
        }
    }

    /// <summary>Ends when the journal was closed, or with the <see cref="JournalFailedException"/> as soon as it failed.</summary>
    public Task Completion => _completion.Task;

    /// <summary>The first entry that the journal still has, or would have: 1 until segments were deleted.</summary>
    public ulong FirstEntry
    {
        get
        {
            lock (_gate)
                return _segments[0].FirstEntry;
        }
    }

    /// <summary>The number that the next append gets.</summary>
    public ulong NextEntry
    {
        get
        {
            lock (_gate)
                return _next;
        }
    }

    /// <summary>Every entry up to this one is durable.</summary>
    public ulong DurableEntry
    {
        get
        {
            lock (_gate)
                return _durable;
        }
    }

    /// <summary>Takes an entry and returns its number. It will be written and flushed, but is durable only after <see cref="WaitDurableAsync"/>.</summary>
    /// <exception cref="JournalFailedException">An earlier write or flush failed.</exception>
    public ulong Append(ReadOnlySpan<byte> entry)
    {
        if (entry.Length > MaxEntryBytes)
            throw new ArgumentException($"An entry of {entry.Length} bytes does not fit the journal; {MaxEntryBytes} are allowed.", nameof(entry));
        lock (_gate)
        {
            ThrowIfUnusable();
            ulong number = _next++;
            _collecting.Add(number, entry);
            _loop ??= RunAsync(isIdle: false);
            return number;
        }
    }

    /// <summary>Completes when the entry and all before it are durable.</summary>
    /// <exception cref="JournalFailedException">A write or flush failed; also for every later call.</exception>
    public ValueTask WaitDurableAsync(ulong entryNumber)
    {
        lock (_gate)
        {
            if (entryNumber >= _next)
                throw new ArgumentOutOfRangeException(nameof(entryNumber), entryNumber, $"The last entry that was appended is {_next - 1}.");
            if (_failure is not null)
                return ValueTask.FromException(_failure);
            if (entryNumber <= _durable)
                return ValueTask.CompletedTask;
            var group = _collecting.Count > 0 && entryNumber >= _collecting.FirstEntry ? _collecting : _flushing;
            return new ValueTask(group.Durable);
        }
    }

    /// <summary>
    /// Deletes the segments all of whose entries are below <paramref name="entryNumber"/>; the last segment stays. One call at a time.
    /// A crash leaves a journal that begins anywhere between the old beginning and the new one.
    /// </summary>
    public async ValueTask DeleteSegmentsBelowAsync(ulong entryNumber)
    {
        lock (_gate)
        {
            ThrowIfUnusable();
            Invariant.Holds(!_deleting);
            _deleting = true;
        }
        try
        {
            int deleted = 0;
            while (TryTakeFirstBelow(entryNumber, out var segment))
            {
                _disk.Delete(PathOf(_directory, segment.Number));
                // Each by itself: a gap between segments that a loss of power might leave would look like a lost file.
                await _disk.FlushDirectoryAsync(_directory);
                deleted++;
            }
            if (deleted > 0)
                _logger.SegmentsDeleted(_directory, deleted, FirstEntry);
        }
        finally
        {
            lock (_gate)
                _deleting = false;
        }
    }

    /// <summary>
    /// Flushes what was appended and writes the witness, if that is still possible, and closes the files. Later calls fail.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        Task? loop;
        lock (_gate)
        {
            if (_closed)
                return;
            _closed = true;
            loop = _loop;
        }
        if (loop is not null)
            await loop;
        if (_failure is null && _witnessed < _durable)
            await WriteLastWitnessAsync();
        CloseFiles();
        _completion.TrySetResult();
    }

    private async ValueTask WriteLastWitnessAsync()
    {
        try
        {
            await WriteWitnessAsync();
        }
        catch (IOException e)
        {
            // The entries are durable, as everybody was told.
            _logger.WitnessNotWritten(_witness.Path, e.Message);
        }
    }

    private void CloseFiles()
    {
        _idle.Dispose();
        _file.Dispose();
        _witness.Dispose();
    }

    private void BecameIdle()
    {
        lock (_gate)
        {
            if (_loop is not null || _closed || _failure is not null)
                return;
            if (_context is null || _context == SynchronizationContext.Current)
                _loop = RunAsync(isIdle: true);
            else
                _context.Post(static journal => ((Journal)journal!).BecameIdle(), this);
        }
    }

    /// <summary>
    /// Writes and flushes group after group until there is none, and the witness when it is time. Never fails: a failure goes to those who
    /// wait.
    /// </summary>
    private async Task RunAsync(bool isIdle)
    {
        _context = SynchronizationContext.Current;
        // The step that appended may append more, and steps behind it too.
        await Task.Yield();
        try
        {
            if (isIdle)
                await WriteWitnessAsync();
            while (TryTakeGroup(out var group))
            {
                await WriteAsync(group);
                Complete(group);
                if (_time.GetElapsedTime(_witnessedAt) >= _options.WitnessInterval)
                    await WriteWitnessAsync();
            }
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    private bool TryTakeGroup(out JournalGroup group)
    {
        lock (_gate)
        {
            Invariant.Holds(_flushing.Count == 0);
            group = _collecting;
            if (group.Count == 0)
            {
                _loop = null;
                if (_witnessed < _durable && !_closed)
                    _idle.Change(_witnessFails ? _options.WitnessInterval : _options.WitnessWhenIdleFor, Timeout.InfiniteTimeSpan);
                return false;
            }
            (_collecting, _flushing) = (_flushing, _collecting);
            return true;
        }
    }

    private async ValueTask WriteAsync(JournalGroup group)
    {
        if (_tail > SegmentHeader.Size && _tail + group.Bytes.Length > _options.SegmentBytes)
            await RotateAsync(group.FirstEntry);
        _file.Write(_tail, group.Bytes);
        _tail += group.Bytes.Length;
        if (_tail > _filled)
            FillAhead();
        await _file.FlushAsync();
    }

    /// <summary>The old segment is durable: its last group was. So only the last segment of a journal can have a torn tail.</summary>
    private async ValueTask RotateAsync(ulong firstEntry)
    {
        var segment = new Segment(_segments[^1].Number + 1, firstEntry);
        var file = await CreateSegmentAsync(_disk, _directory, segment, _options);
        _file.Dispose();
        _file = file;
        _tail = SegmentHeader.Size;
        _filled = SegmentHeader.Size;
        lock (_gate)
            _segments.Add(segment);
        // Should the new segment get lost, the witness of the old one's end would say nothing of it.
        await WriteWitnessAsync();
    }

    /// <summary>
    /// No group may be under way: all that is in the file is durable. A full disk is no reason to fail, since the witness before this one
    /// stays true.
    /// </summary>
    private async ValueTask WriteWitnessAsync()
    {
        ulong durable, segment;
        lock (_gate)
            (durable, segment) = (_durable, _segments[^1].Number);
        _witnessedAt = _time.GetTimestamp();
        try
        {
            await _witness.WriteAsync(durable, segment, _tail);
            _witnessFails = false;
            lock (_gate)
                _witnessed = durable;
        }
        catch (DiskFullException e)
        {
            if (!_witnessFails)
                _logger.WitnessNotWritten(_witness.Path, e.Message);
            _witnessFails = true;
        }
    }

    private void FillAhead()
    {
        _filled = _tail;
        long end = Math.Min(_tail + _options.FillAheadBytes, _options.SegmentBytes);
        try
        {
            while (_filled < end)
            {
                var piece = Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, end - _filled));
                _file.Write(_filled, piece);
                _filled += piece.Length;
            }
        }
        catch (DiskFullException)
        {
            // Filling is for speed alone. The group itself is written.
        }
    }

    private void Complete(JournalGroup group)
    {
        TaskCompletionSource? durable;
        lock (_gate)
        {
            _durable = group.LastEntry;
            durable = group.Reset();
        }
        durable?.SetResult();
    }

    private void Fail(Exception cause)
    {
        JournalFailedException failure;
        TaskCompletionSource? flushing, collecting;
        lock (_gate)
        {
            failure = _failure = new JournalFailedException(
                $"The journal {_directory} failed and takes no more: {cause.Message} Entries up to {_durable} are durable; whether later ones are is not known. "
                + "Correct the cause and restart the server: it reads the journal again.", cause);
            flushing = _flushing.Reset();
            collecting = _collecting.Reset();
            _loop = null;
        }
        foreach (var waiting in new[] { flushing, collecting, _completion })
        {
            if (waiting is null)
                continue;
            waiting.SetException(failure);
            // Not everybody who appends waits.
            _ = waiting.Task.Exception;
        }
    }

    private bool TryTakeFirstBelow(ulong entryNumber, out Segment segment)
    {
        lock (_gate)
        {
            segment = _segments[0];
            if (_segments.Count == 1 || _segments[1].FirstEntry > entryNumber)
                return false;
            _segments.RemoveAt(0);
            return true;
        }
    }

    private void ThrowIfUnusable()
    {
        if (_failure is not null)
            throw _failure;
        ObjectDisposedException.ThrowIf(_closed, this);
    }

    /// <summary>On return the segment's name and header are durable.</summary>
    private static async ValueTask<IDiskFile> CreateSegmentAsync(IDisk disk, string directory, Segment segment, JournalOptions options)
    {
        var file = disk.Open(PathOf(directory, segment.Number), create: true);
        try
        {
            WriteHeader(file, segment);
            try
            {
                file.Reserve(0, options.SegmentBytes);
            }
            catch (DiskFullException)
            {
                // There may be room for less than a whole segment.
            }
            await file.FlushAsync();
            await disk.FlushDirectoryAsync(directory);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static void WriteHeader(IDiskFile file, Segment segment)
    {
        Span<byte> header = stackalloc byte[SegmentHeader.Size];
        new SegmentHeader(segment.Number, segment.FirstEntry).Write(header);
        file.Write(0, header);
    }

    private static string PathOf(string directory, ulong segment) => $"{directory}/{SegmentHeader.NameOf(segment)}";

    private static string ParentOf(string directory) => directory.LastIndexOf('/') is >= 0 and var slash ? directory[..slash] : "";
}
