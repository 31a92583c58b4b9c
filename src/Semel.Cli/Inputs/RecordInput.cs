using System.Buffers;
using System.Buffers.Binary;
using Semel.Cli.Terminal;

namespace Semel.Cli.Inputs;

/// <summary>How a stream of bytes is cut into records.</summary>
internal enum RecordFormat
{
    /// <summary>A record per line, without its <c>\n</c> (a <c>\r</c> before it stays). A last line without an end is a record too.</summary>
    Lines,

    /// <summary>A length of four bytes, little endian, before each record.</summary>
    LengthPrefixed,

    /// <summary>All of the input is one record.</summary>
    Whole,
}

/// <summary>Cuts a stream into records without ever holding more than one record and one buffer.</summary>
/// <param name="source">The bytes.</param>
/// <param name="format">How they are cut.</param>
/// <param name="maxRecordBytes">A larger one is refused.</param>
/// <param name="completeLines">A last line without a newline is no record.</param>
internal sealed class RecordInput(Stream source, RecordFormat format, int maxRecordBytes, bool completeLines = false)
{
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
    private int _start;
    private int _end;
    private bool _ended;
    private long _record;

    /// <summary>Bytes of a last line that has no newline, once the input has ended within it. Null: it did not.</summary>
    public int? OpenLineBytes { get; private set; }

    /// <summary>
    /// The next record, valid until the next call; null at the end.
    /// </summary>
    /// <exception cref="CommandException">A record is larger than the limit, or the input ends within one.</exception>
    public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(CancellationToken cancellation)
    {
        _record++;
        return format switch
        {
            RecordFormat.Lines => await ReadLineAsync(cancellation),
            RecordFormat.LengthPrefixed => await ReadPrefixedAsync(cancellation),
            _ => await ReadWholeAsync(cancellation),
        };
    }

    private async ValueTask<ReadOnlyMemory<byte>?> ReadLineAsync(CancellationToken cancellation)
    {
        int searched = 0;
        while (true)
        {
            int at = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (at >= 0)
                return Take(searched + at, 1);
            searched = _end - _start;
            Check(searched);
            if (await FillAsync(cancellation))
                continue;
            if (searched == 0)
                return null;
            OpenLineBytes = searched;
            var line = Take(searched, 0);
            return completeLines ? null : (ReadOnlyMemory<byte>?)line;
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>?> ReadPrefixedAsync(CancellationToken cancellation)
    {
        while (_end - _start < 4)
        {
            if (await FillAsync(cancellation))
                continue;
            return _end == _start ? (ReadOnlyMemory<byte>?)null : throw CommandException.Usage($"The input ends within the length of record {_record}.");
        }
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(_start));
        Check(length);
        _start += 4;
        while (_end - _start < (int)length)
        {
            if (!await FillAsync(cancellation))
                throw CommandException.Usage($"The input ends within record {_record}: {_end - _start} of {length} bytes are there.");
        }
        return Take((int)length, 0);
    }

    private async ValueTask<ReadOnlyMemory<byte>?> ReadWholeAsync(CancellationToken cancellation)
    {
        if (_record > 1)
            return null;
        while (await FillAsync(cancellation))
            Check(_end - _start);
        return Take(_end - _start, 0);
    }

    private ReadOnlyMemory<byte> Take(int length, int separator)
    {
        Check(length);
        var record = _buffer.AsMemory(_start, length);
        _start += length + separator;
        return record;
    }

    private void Check(long length)
    {
        if (length > maxRecordBytes)
            throw CommandException.Usage(
                $"Record {_record} is larger than {maxRecordBytes} bytes, the largest record that this file takes (a quarter of its chunk size). Cut the input into smaller records, "
                + "or use a cluster with larger chunks.");
    }

    /// <summary>Reads more. False at the end of the input.</summary>
    private async ValueTask<bool> FillAsync(CancellationToken cancellation)
    {
        if (_ended)
            return false;
        if (_end == _buffer.Length)
        {
            if (_start > 0)
            {
                Buffer.BlockCopy(_buffer, _start, _buffer, 0, _end - _start);
            }
            else
            {
                byte[] larger = ArrayPool<byte>.Shared.Rent(_buffer.Length * 2);
                _buffer.AsSpan(0, _end).CopyTo(larger);
                ArrayPool<byte>.Shared.Return(_buffer);
                _buffer = larger;
            }
            _end -= _start;
            _start = 0;
        }
        int read = await source.ReadAsync(_buffer.AsMemory(_end), cancellation);
        _end += read;
        _ended = read == 0;
        return read > 0;
    }
}
