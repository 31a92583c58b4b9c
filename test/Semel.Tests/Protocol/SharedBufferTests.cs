using Semel.Protocol;
using Semel.Protocol.Buffers;
using Xunit;

namespace Semel.Tests.Protocol;

public sealed class SharedBufferTests
{
    [Fact]
    public void The_bytes_live_until_the_last_reference_is_released()
    {
        var buffer = SharedBuffer.CopyOf("abc"u8);
        buffer.Retain();

        buffer.Release();
        Assert.Equal("abc"u8.ToArray(), buffer.Span[..3].ToArray());

        buffer.Release();
        Assert.Throws<InvariantViolationException>(() => buffer.Span.Length);
        Assert.Throws<InvariantViolationException>(() => buffer.Memory);
    }

    [Fact]
    public void Releasing_once_too_often_and_reviving_are_bugs_that_stop()
    {
        var released = SharedBuffer.Rent(10);
        released.Release();
        Assert.Throws<InvariantViolationException>(released.Release);

        var dead = SharedBuffer.Rent(10);
        dead.Release();
        Assert.Throws<InvariantViolationException>(() => dead.Retain());
    }

    [Fact]
    public void A_rented_buffer_has_at_least_what_was_asked_for()
    {
        foreach (int size in new[] { 0, 1, 100, 70_000, 5_000_000 })
        {
            var buffer = SharedBuffer.Rent(size);
            Assert.True(buffer.Capacity >= size);
            buffer.Release();
        }
    }

    [Fact]
    public async Task References_may_be_released_by_many_threads_at_once()
    {
        var buffer = SharedBuffer.CopyOf("abc"u8);
        for (int i = 0; i < 1000; i++)
            buffer.Retain();

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 250; i++)
                buffer.Release();
        })));

        Assert.Equal((byte)'a', buffer.Span[0]);
        buffer.Release();
    }

    [Fact]
    public void A_payload_is_a_range_of_its_buffer_and_an_empty_one_needs_none()
    {
        var buffer = SharedBuffer.CopyOf("abcdef"u8);
        var payload = new Payload(buffer, 2, 3);

        Assert.Equal("cde"u8.ToArray(), payload.Span.ToArray());
        Assert.Equal("cde"u8.ToArray(), payload.Memory.ToArray());
        payload.Retain().Release();
        payload.Release();

        Assert.Equal(0, Payload.CopyOf([]).Span.Length);
        Assert.Null(Payload.CopyOf([]).Buffer);
        Payload.Empty.Retain().Release();
    }
}
