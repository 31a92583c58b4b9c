using Microsoft.Extensions.Logging;
using Semel.Protocol.Messages;

namespace Semel.Transport;

/// <summary>What the transport tells the operator. Event ids 4xxx.</summary>
internal static partial class Log
{
    [LoggerMessage(4001, LogLevel.Information, "Took calls on {Address} from now on")]
    public static partial void Listening(this ILogger logger, string address);

    [LoggerMessage(4002, LogLevel.Debug, "Connected to {Address}, a {Role} ({Software})")]
    public static partial void Connected(this ILogger logger, string address, string role, string software);

    [LoggerMessage(4003, LogLevel.Debug, "Accepted {Peer} on {Address} ({Software})")]
    public static partial void Accepted(this ILogger logger, string peer, string address, string software);

    [LoggerMessage(4004, LogLevel.Debug, "Connection with {Peer} ended: {Reason}")]
    public static partial void ConnectionEnded(this ILogger logger, string peer, string reason);

    [LoggerMessage(4005, LogLevel.Debug, "No connection to {Address}: {Reason}. The next call tries again after a pause")]
    public static partial void DialFailed(this ILogger logger, string address, string reason);

    [LoggerMessage(4006, LogLevel.Warning, "Connection to {Address} was refused in the handshake: {Reason}. Calls to it fail until one of the two is changed")]
    public static partial void PeerRefused(this ILogger logger, string address, string reason);

    [LoggerMessage(4007, LogLevel.Warning, "Connection with {Peer} was closed: {Fault} ({Suppressed} more such lines were left out)")]
    public static partial void PeerFaulted(this ILogger logger, string peer, string fault, long suppressed);

    [LoggerMessage(4008, LogLevel.Error, "A {Kind} call of {Peer} failed with an internal error. Its connection was closed; the process goes on")]
    public static partial void HandlerFailed(this ILogger logger, MessageKind kind, string peer, Exception exception);

    [LoggerMessage(4009, LogLevel.Error, "Connection with {Peer} failed with an internal error and was closed; the process goes on")]
    public static partial void ConnectionFailed(this ILogger logger, string peer, Exception exception);

    [LoggerMessage(4010, LogLevel.Error, "The reply to a {Kind} call of {Peer} has {Excess}. The caller was told so")]
    public static partial void ReplyTooLarge(this ILogger logger, MessageKind kind, string peer, string excess);

    [LoggerMessage(4011, LogLevel.Error, "The sweep of overdue calls failed; it goes on with the next")]
    public static partial void SweepFailed(this ILogger logger, Exception exception);
}
