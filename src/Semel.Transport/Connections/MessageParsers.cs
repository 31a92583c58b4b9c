using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;
using Semel.Protocol.Messages;

namespace Semel.Transport.Connections;

/// <summary>The message catalog as an array, for the two look-ups that every call makes.</summary>
internal static class MessageParsers
{
    private static readonly MessageParser?[] Requests = Table(reply: false);
    private static readonly MessageParser?[] Replies = Table(reply: true);

    public static MessageParser? OfRequest(MessageKind kind) => (int)kind < Requests.Length ? Requests[(int)kind] : null;

    public static MessageParser? OfReply(MessageKind kind) => (int)kind < Replies.Length ? Replies[(int)kind] : null;

    public static bool TryParse(MessageParser parser, ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out IMessage? message, [NotNullWhen(false)] out string? fault)
    {
        try
        {
            message = parser.ParseFrom(bytes);
            fault = null;
            return true;
        }
        catch (InvalidProtocolBufferException e)
        {
            message = null;
            fault = e.Message;
            return false;
        }
    }

    private static MessageParser?[] Table(bool reply)
    {
        var table = new MessageParser?[(int)MessageCatalog.Kinds.Max() + 1];
        foreach (var kind in MessageCatalog.Kinds)
        {
            bool known = reply ? MessageCatalog.TryGetReplyParser(kind, out var parser) : MessageCatalog.TryGetRequestParser(kind, out parser);
            table[(int)kind] = known ? parser : null;
        }
        return table;
    }
}
