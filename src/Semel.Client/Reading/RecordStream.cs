namespace Semel.Client.Reading;

/// <summary>The records' bytes as a stream, forward only.</summary>
internal sealed class RecordStream : Stream
{
    private readonly CancellationTokenSource _stop = new();
    private readonly IAsyncEnumerator<SemelRecord> _records;
    private ReadOnlyMemory<byte> _rest;
    private Task<bool>? _next;   // under way
    private bool _isOver;
    private bool _isDisposed;

    public RecordStream(IAsyncEnumerable<SemelRecord> records) => _records = records.GetAsyncEnumerator(_stop.Token);

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException("The length of the records is not known before they are read.");

    public override long Position
    {
        get => throw new NotSupportedException("This stream cannot seek.");
        set => throw new NotSupportedException("This stream cannot seek.");
    }

    /// <summary>Gives out what is there; waits only for the first byte.</summary>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int read = 0;
        while (read < buffer.Length && !_isOver)
        {
            if (_rest.IsEmpty)
            {
                _next ??= _records.MoveNextAsync().AsTask();
                if (read > 0 && !_next.IsCompleted)
                    break;
                _isOver = !await _next.WaitAsync(cancellationToken);
                _next = null;
                _rest = _isOver ? default : _records.Current.Data;
                continue;
            }
            int count = Math.Min(_rest.Length, buffer.Length - read);
            _rest[..count].CopyTo(buffer[read..]);
            _rest = _rest[count..];
            read += count;
        }
        return read;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => ReadAsync(buffer.AsMemory(offset, count)).AsTask().GetAwaiter().GetResult();

    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("This stream cannot seek.");
    public override void SetLength(long value) => throw new NotSupportedException("This stream cannot be written.");
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("This stream cannot be written.");

    public override async ValueTask DisposeAsync()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _stop.Cancel();
        try
        {
            if (_next is not null)
                await _next;
        }
        catch (Exception e) when (e is SemelException or OperationCanceledException)
        {
            // Nobody reads on.
        }
        await _records.DisposeAsync();
        _stop.Dispose();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
