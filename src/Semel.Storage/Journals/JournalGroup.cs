using Semel.Protocol;

namespace Semel.Storage.Journals;

/// <summary>Entries that are written and flushed together, laid out as they will be on the disk. Reused; the journal has two.</summary>
internal sealed class JournalGroup
{
    private const int UsualBytes = 1 << 20;

    private byte[] _bytes = [];
    private int _length;
    private TaskCompletionSource? _durable;

    /// <summary>Number of the first entry. Every entry below it is durable before the group is written.</summary>
    public ulong FirstEntry { get; private set; }

    public int Count { get; private set; }
    public ulong LastEntry => FirstEntry + (ulong)Count - 1;
    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    public void Add(ulong number, ReadOnlySpan<byte> entry)
    {
        if (Count == 0)
            FirstEntry = number;
        Invariant.Holds(number == FirstEntry + (ulong)Count);
        int total = EntryHeader.TotalLengthOf(entry.Length);
        if (_bytes.Length - _length < total)
            Array.Resize(ref _bytes, checked((int)Math.Max((uint)(_length + total), Math.Min((uint)_bytes.Length * 2, (uint)Array.MaxLength))));
        EntryHeader.WriteEntry(_bytes.AsSpan(_length), entry, number, settled: FirstEntry);
        _length += total;
        Count++;
    }

    /// <summary>Completes when the group is durable.</summary>
    public Task Durable => (_durable ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>Makes the group empty, ready for other entries. Returns what its waiters wait for, if there are any.</summary>
    public TaskCompletionSource? Reset()
    {
        var durable = _durable;
        _durable = null;
        _length = 0;
        Count = 0;
        if (_bytes.Length > UsualBytes)
            _bytes = [];
        return durable;
    }
}
