using Google.Protobuf;
using Semel.Protocol.Messages;

namespace Semel.Master.Identity;

/// <summary>Calls that change the log, or say what only the right master may say, and what they are answered while this master may not.</summary>
internal static class Withholding
{
    /// <summary>Clients wait for the answer for as long as their call may take; chunk servers ask again by themselves.</summary>
    public static bool MayWait(MessageKind kind) => kind is not (MessageKind.Sealed or MessageKind.Suspect or MessageKind.ExpireWriters);

    /// <summary>Null: the call is served all the same.</summary>
    public static IMessage? Reply(MessageKind kind, string detail) => kind switch
    {
        MessageKind.CreateFile => new CreateFileReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.MakeDirectory => new MakeDirectoryReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.Delete => new DeleteReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.RegisterWriter => new RegisterWriterReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.RetireWriter => new RetireWriterReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.Sealed => new SealedReply { Status = Status.Unavailable },
        MessageKind.Suspect => new SuspectReply { Status = Status.Unavailable },
        MessageKind.ExpireWriters => new ExpireWritersReply { Status = Status.Unavailable },
        _ => null,
    };
}
