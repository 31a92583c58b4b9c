using Semel.Simulation.Kernel;

namespace Semel.Simulation.Disk;

/// <summary>
/// A file's bytes, twice: what the kernel shows (page cache) and what the medium holds. Between the two is the list of changes
/// that no flush has covered yet; a loss of power decides about each of them alone.
/// </summary>
internal sealed class SimulatedInode(int number)
{
    private readonly List<Change> _pending = [];
    private Extent _cache;
    private Extent _medium;
    private long _flushed;   // changes that left _pending since the file was made
    private long _reserved;

    public int Number => number;
    public long Length => _cache.Length;
    public int PendingChanges => _pending.Count;

    /// <summary>Virtual time of the last change that was made to it.</summary>
    public long ChangedNs { get; set; }

    /// <summary>Space that the file holds: what is written, and what is reserved.</summary>
    public long Allocated => Math.Max(_cache.Length, _reserved);

    public int Read(long offset, Span<byte> target) => _cache.Read(offset, target);

    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        if (source.IsEmpty)
            return;
        _cache.Write(offset, source);
        _pending.Add(new Change(offset, source.ToArray()));
    }

    public void SetLength(long length)
    {
        _cache.SetLength(length);
        _reserved = Math.Min(_reserved, length);
        _pending.Add(new Change(length, null));
    }

    public void Reserve(long end) => _reserved = Math.Max(_reserved, end);

    /// <summary>Identifies the changes made so far, for <see cref="Flushed"/>.</summary>
    public long FlushMark() => _flushed + _pending.Count;

    /// <summary>Exactly the changes before the mark reach the medium, none that came after it.</summary>
    public void Flushed(long mark)
    {
        int count = (int)Math.Max(0, mark - _flushed);
        for (int i = 0; i < count; i++)
            _pending[i].ApplyTo(ref _medium);
        Forget(count);
    }

    /// <summary>
    /// A failed flush: the kernel marks the pages clean although any part of them may be missing on the medium. No later flush writes them.
    /// </summary>
    public void FlushFailed(long mark, SimulatedRandom random)
    {
        int count = (int)Math.Max(0, mark - _flushed);
        for (int i = 0; i < count; i++)
            _pending[i].ApplyPartlyTo(ref _medium, random);
        Forget(count);
    }

    /// <summary>Each change that no flush covered is lost, made it, or is torn; the page cache is gone.</summary>
    public void LosePower(SimulatedRandom random)
    {
        foreach (var change in _pending)
            change.ApplyPartlyTo(ref _medium, random);
        Forget(_pending.Count);
        _cache = _medium.Copy();
        _reserved = Math.Max(_cache.Length, random.OneIn(2) ? _reserved : 0);
    }

    /// <summary>A loss of power now would leave everything below the length as it can be read.</summary>
    public bool IsDurable(long length) => _medium.StartsLike(_cache, length) && !_pending.Any(change => change.Offset < length);

    /// <summary>A file with these bytes, all of them on the medium.</summary>
    public static SimulatedInode Of(int number, byte[] bytes)
    {
        var file = new SimulatedInode(number);
        file.Write(0, bytes);
        file.Flushed(file.FlushMark());
        return file;
    }

    /// <summary>The medium gives back another byte than it was given.</summary>
    public void Flip(long offset, byte mask)
    {
        _medium.Flip(offset, mask);
        _cache.Flip(offset, mask);
    }

    /// <summary>
    /// These bytes, and no others, on the medium and in what is read from now on; whoever has the file open reads them too.
    /// </summary>
    public void Become(ReadOnlySpan<byte> bytes)
    {
        Forget(_pending.Count);
        _cache = default;
        _cache.Write(0, bytes);
        _medium = _cache.Copy();
        _reserved = Math.Min(_reserved, bytes.Length);
    }

    private void Forget(int count)
    {
        _pending.RemoveRange(0, count);
        _flushed += count;
    }

    /// <summary>A write, or (without bytes) a new length.</summary>
    private readonly record struct Change(long Offset, byte[]? Bytes)
    {
        public void ApplyTo(ref Extent extent)
        {
            if (Bytes is null)
                extent.SetLength(Offset);
            else
                extent.Write(Offset, Bytes);
        }

        public void ApplyPartlyTo(ref Extent extent, SimulatedRandom random)
        {
            switch (random.Below(4))
            {
                case 0:
                    break;
                case 1:
                    ApplyTo(ref extent);
                    break;
                default:
                    Tear(ref extent, random);
                    break;
            }
        }

        /// <summary>Some of its sectors made it, in any combination. What was not written between two that were reads as zeros.</summary>
        private void Tear(ref Extent extent, SimulatedRandom random)
        {
            if (Bytes is null)
            {
                if (random.OneIn(2))
                    extent.SetLength(Offset);
                return;
            }
            int grain = 16 << random.Below(9);   // 16 B .. 4 KiB
            bool prefix = random.OneIn(2);
            long at = Offset, end = Offset + Bytes.Length;
            if (prefix)
                end = Offset + random.Below(Bytes.Length + 1L) / grain * grain;
            while (at < end)
            {
                long next = Math.Min((at / grain + 1) * grain, end);
                if (prefix || random.OneIn(2))
                    extent.Write(at, Bytes.AsSpan((int)(at - Offset), (int)(next - at)));
                at = next;
            }
        }
    }

    /// <summary>Bytes that grow.</summary>
    private struct Extent
    {
        private byte[]? _bytes;

        public long Length { get; private set; }

        public readonly int Read(long offset, Span<byte> target)
        {
            if (offset >= Length)
                return 0;
            int count = (int)Math.Min(target.Length, Length - offset);
            _bytes.AsSpan((int)offset, count).CopyTo(target);
            return count;
        }

        public void Write(long offset, ReadOnlySpan<byte> source)
        {
            long end = offset + source.Length;
            if (end > Length)
                SetLength(end);
            source.CopyTo(_bytes.AsSpan((int)offset));
        }

        public void SetLength(long length)
        {
            if (length < Length)
                _bytes.AsSpan((int)length, (int)(Length - length)).Clear();
            else if (length > (_bytes?.Length ?? 0))
                Array.Resize(ref _bytes, (int)Math.Max(length, Math.Min(2L * (_bytes?.Length ?? 64), length + (1 << 20))));
            Length = length;
        }

        public readonly void Flip(long offset, byte mask)
        {
            if (offset < Length)
                _bytes![offset] ^= mask;
        }

        public readonly bool StartsLike(in Extent other, long length) => Length >= length && other.Length >= length
            && _bytes.AsSpan(0, (int)length).SequenceEqual(other._bytes.AsSpan(0, (int)length));

        public readonly Extent Copy() => new() { _bytes = _bytes?.ToArray(), Length = Length };
    }
}
