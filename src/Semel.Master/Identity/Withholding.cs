using Google.Protobuf;
using Semel.Protocol.Messages;

namespace Semel.Master.Identity;

/// <summary>
/// What calls are answered while this master may not be the right one. It changes nothing, and it says nothing about files: a log that
/// lacks entries knows of fewer files, chunks and writers than there are, and whoever reads by such a log would take the end of what it
/// knows for the end of the file.
/// </summary>
internal static class Withholding
{
    private static readonly TimeSpan LeastForTheAnswer = TimeSpan.FromMilliseconds(300);

    /// <summary>Clients wait for the answer for as long as their call may take; chunk servers ask again by themselves.</summary>
    public static bool MayWait(MessageKind kind) => kind is not (MessageKind.Sealed or MessageKind.Suspect or MessageKind.ExpireWriters);

    /// <summary>
    /// So long that the reason still reaches the caller within its time: an answer that comes too late leaves it in doubt about a call that
    /// was refused.
    /// </summary>
    public static TimeSpan LongestWait(TimeSpan timeLeft)
    {
        var tenth = timeLeft * 0.1;
        return timeLeft - (tenth > LeastForTheAnswer ? tenth : LeastForTheAnswer);
    }

    /// <summary>Null: the call is served all the same.</summary>
    public static IMessage? Reply(MessageKind kind, string detail) => kind switch
    {
        MessageKind.CreateFile => new CreateFileReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.MakeDirectory => new MakeDirectoryReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.Delete => new DeleteReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.ListDirectory => new ListDirectoryReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.Stat => new StatReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.LocateChunks => new LocateChunksReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.LocateTail => new LocateTailReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.LookUpWriter => new LookUpWriterReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.IdentifyWriters => new IdentifyWritersReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.RecoverChunk => new RecoverChunkReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.RegisterWriter => new RegisterWriterReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.RetireWriter => new RetireWriterReply { Status = Status.Unavailable, Detail = detail },
        MessageKind.Sealed => new SealedReply { Status = Status.Unavailable },
        MessageKind.Suspect => new SuspectReply { Status = Status.Unavailable },
        MessageKind.ExpireWriters => new ExpireWritersReply { Status = Status.Unavailable },
        _ => null,
    };
}
