using System.Runtime.InteropServices;

namespace Semel.Cli.Terminal;

/// <summary>
/// Writes to an inherited file descriptor with <c>write(2)</c>. A <see cref="FileStream"/> would keep its own position in a regular file (and overwrite what other
/// processes of a shell script append to it); the console's stream swallows a broken pipe.
/// </summary>
internal sealed partial class DescriptorStream(int descriptor) : Stream
{
    /// <summary>In <see cref="Exception.HResult"/>: whoever read the pipe has gone.</summary>
    public const int BrokenPipe = 32;

    private const int Interrupted = 4;
    private const int TryAgain = 11;

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Flush()
    {
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            nint written = WriteBytes(descriptor, buffer, buffer.Length);
            if (written >= 0)
            {
                buffer = buffer[(int)written..];
                continue;
            }
            int error = Marshal.GetLastPInvokeError();
            if (error == TryAgain)
                Thread.Yield();
            else if (error != Interrupted)
                throw new IOException($"Standard output cannot be written: {Marshal.GetPInvokeErrorMessage(error)}.", error);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        Write(buffer.AsSpan(offset, count));
        return Task.CompletedTask;
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint WriteBytes(int descriptor, ReadOnlySpan<byte> bytes, nint count);
}
