using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>Reads a segment through a window, so that replaying takes memory for one entry and not for a segment.</summary>
/// <param name="mended">Bits of the segment that are read the other way round.</param>
internal sealed class SegmentReader(IDiskFile file, params IReadOnlyList<FlippedBit> mended)
{
    /// <summary>Usual size of the window; a longer entry makes it larger.</summary>
    public const int WindowBytes = 1 << 20;

    private byte[] _window = new byte[WindowBytes];
    private long _start;
    private int _length;

    public long Length { get; } = file.Length;

    /// <summary>The bytes at the offset; fewer only at the file's end. Valid until the next call.</summary>
    public ReadOnlyMemory<byte> Read(long offset, int count)
    {
        count = (int)Math.Clamp(Length - offset, 0, count);
        if (offset < _start || offset + count > _start + _length)
        {
            if (count > _window.Length)
                _window = new byte[count];
            _start = offset;
            _length = file.Read(offset, _window);
            count = Math.Min(count, _length);
            foreach (var bit in mended)
            {
                if (bit.Offset >= _start && bit.Offset < _start + _length)
                    _window[bit.Offset - _start] ^= bit.Mask;
            }
        }
        return _window.AsMemory((int)(offset - _start), count);
    }

    public bool IsZeroFrom(long offset)
    {
        for (long at = offset; at < Length;)
        {
            var piece = Read(at, WindowBytes).Span;
            if (piece.IsEmpty)
                break;
            if (piece.ContainsAnyExcept((byte)0))
                return false;
            at += piece.Length;
        }
        return true;
    }
}
