using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Transport;

namespace Semel.Tests.Transport;

/// <summary>Handlers, wires and messages that the transport's tests share.</summary>
internal static class Wires
{
    public static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    public static SocketWire New(
        SocketWireOptions? options = null, TimeProvider? time = null, string? cluster = null, ILoggerFactory? loggers = null) =>
        new(options ?? new SocketWireOptions { Role = "client", ClusterId = () => cluster }, time ?? TimeProvider.System, new Random(1),
            loggers ?? NullLoggerFactory.Instance);

    public static StatRequest Ask(string path = "/a") => new() { Path = path };

    /// <summary>Answers each <c>Stat</c> with its own path in the detail and its own payload.</summary>
    public static ICallHandler Echo { get; } = new Handler(EchoTo);

    public static void EchoTo(IncomingCall call) =>
        call.Reply(new StatReply { Status = Status.Ok, Detail = ((StatRequest)call.Header).Path }, call.Payload.Retain());

    public static ValueTask<CallResult> StatAsync(
        this ILink link, string path = "/a", Payload payload = default, TimeSpan? timeout = null, CancellationToken cancellation = default) =>
        link.CallAsync(MessageKind.Stat, Ask(path), payload, timeout ?? Long, cancellation);

    /// <summary>How many references a buffer still has.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_references")]
    public static extern ref int References(SharedBuffer buffer);

    /// <summary>Waits for something that other threads will make true, without an event for it.</summary>
    public static async Task UntilAsync(Func<bool> condition)
    {
        using var tooLong = new CancellationTokenSource(Long);
        while (!condition())
        {
            tooLong.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}

internal sealed class Handler(Action<IncomingCall> handle) : ICallHandler
{
    public void Handle(IncomingCall call) => handle(call);
}

/// <summary>Keeps the calls until the test answers them.</summary>
internal sealed class HoldingHandler : ICallHandler
{
    private readonly SemaphoreSlim _came = new(0);

    public ConcurrentQueue<IncomingCall> Calls { get; } = new();

    public void Handle(IncomingCall call)
    {
        Calls.Enqueue(call);
        _came.Release();
    }

    /// <summary>Lets one call through, so that the link has a connection.</summary>
    public async Task AnswerOneAsync(ILink link)
    {
        var pending = link.StatAsync();
        Wires.EchoTo(await NextAsync());
        Assert.True((await pending).IsAnswered);
    }

    /// <summary>The next call that has come and was not taken yet.</summary>
    public async Task<IncomingCall> NextAsync()
    {
        Assert.True(await _came.WaitAsync(Wires.Long), "no call came");
        Assert.True(Calls.TryDequeue(out var call));
        return call;
    }
}
