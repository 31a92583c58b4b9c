using Google.Protobuf;

namespace Semel.Protocol.Messages;

/// <summary>The polite answer to a call that came to the wrong kind of server: nothing was done, and why.</summary>
public static class NotServed
{
    public static IMessage Reply(MessageKind kind, string detail) => kind switch
    {
        MessageKind.Append or MessageKind.InitWriter or MessageKind.EvictWriter => new AppendReply { Status = AppendStatus.NotPrimary, Detail = detail },
        MessageKind.Prepare or MessageKind.NewView => new Vote { Status = VoteStatus.NoChunk, Detail = detail },
        MessageKind.ReadFrames => new ReadFramesReply { Status = ReadStatus.ReadNoChunk, Detail = detail },
        MessageKind.InspectChunk => new InspectChunkReply { Status = Status.Invalid },
        MessageKind.FindWriter => new FindWriterReply { Status = Status.Invalid, Detail = detail },
        MessageKind.ListReplicas => new ListReplicasReply { Status = Status.Invalid, Detail = detail },
        MessageKind.CreateChunk => new CreateChunkReply { Status = Status.Invalid, Detail = detail },
        MessageKind.Promise => new PromiseReply { Status = Status.Invalid, Detail = detail },
        MessageKind.Grant => new GrantReply { Status = Status.Invalid, Detail = detail },
        MessageKind.SealChunk => new SealChunkReply { Status = Status.Invalid },
        MessageKind.KnownMaster => new KnownMasterReply { Status = Status.Invalid, Detail = detail },
        MessageKind.FetchBase => new FetchBaseReply { Status = Status.Invalid, Detail = detail },
        MessageKind.RegisterServer => new RegisterServerReply { Status = Status.Invalid, Detail = detail },
        MessageKind.Heartbeat => new HeartbeatReply { Status = Status.Invalid },
        MessageKind.Sealed => new SealedReply { Status = Status.Invalid },
        MessageKind.Suspect => new SuspectReply { Status = Status.Invalid },
        MessageKind.ExpireWriters => new ExpireWritersReply { Status = Status.Invalid },
        MessageKind.CreateFile => new CreateFileReply { Status = Status.Invalid, Detail = detail },
        MessageKind.MakeDirectory => new MakeDirectoryReply { Status = Status.Invalid, Detail = detail },
        MessageKind.ListDirectory => new ListDirectoryReply { Status = Status.Invalid, Detail = detail },
        MessageKind.Stat => new StatReply { Status = Status.Invalid, Detail = detail },
        MessageKind.Delete => new DeleteReply { Status = Status.Invalid, Detail = detail },
        MessageKind.LocateTail => new LocateTailReply { Status = Status.Invalid, Detail = detail },
        MessageKind.LocateChunks => new LocateChunksReply { Status = Status.Invalid, Detail = detail },
        MessageKind.RegisterWriter => new RegisterWriterReply { Status = Status.Invalid, Detail = detail },
        MessageKind.ClusterStatus => new ClusterStatusReply { Status = Status.Invalid },
        MessageKind.LookUpWriter => new LookUpWriterReply { Status = Status.Invalid, Detail = detail },
        MessageKind.InspectCopies => new InspectCopiesReply { Status = Status.Invalid, Detail = detail },
        MessageKind.RecoverChunk => new RecoverChunkReply { Status = Status.Invalid, Detail = detail },
        MessageKind.RetireWriter => new RetireWriterReply { Status = Status.Invalid, Detail = detail },
        MessageKind.IdentifyWriters => new IdentifyWritersReply { Status = Status.Invalid, Detail = detail },
        _ => throw new InvariantViolationException($"No reply is known for a call of kind {kind}."),
    };
}
