using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;

namespace Semel.Protocol.Messages;

/// <summary>Which headers belong to which kind of call: the one table that a wire needs to read what it receives.</summary>
public static class MessageCatalog
{
    private static readonly SortedDictionary<MessageKind, (MessageParser Request, MessageParser Reply)> Parsers = new()
    {
        [MessageKind.Append] = (AppendRequest.Parser, AppendReply.Parser),
        [MessageKind.InitWriter] = (InitWriterRequest.Parser, AppendReply.Parser),
        [MessageKind.Prepare] = (PrepareRequest.Parser, Vote.Parser),
        [MessageKind.NewView] = (NewViewRequest.Parser, Vote.Parser),
        [MessageKind.EvictWriter] = (EvictWriterRequest.Parser, AppendReply.Parser),
        [MessageKind.ReadFrames] = (ReadFramesRequest.Parser, ReadFramesReply.Parser),
        [MessageKind.InspectChunk] = (InspectChunkRequest.Parser, InspectChunkReply.Parser),
        [MessageKind.FindWriter] = (FindWriterRequest.Parser, FindWriterReply.Parser),
        [MessageKind.ListReplicas] = (ListReplicasRequest.Parser, ListReplicasReply.Parser),
        [MessageKind.CreateChunk] = (CreateChunkRequest.Parser, CreateChunkReply.Parser),
        [MessageKind.Promise] = (PromiseRequest.Parser, PromiseReply.Parser),
        [MessageKind.Grant] = (GrantRequest.Parser, GrantReply.Parser),
        [MessageKind.SealChunk] = (SealChunkRequest.Parser, SealChunkReply.Parser),
        [MessageKind.KnownMaster] = (KnownMasterRequest.Parser, KnownMasterReply.Parser),
        [MessageKind.FetchBase] = (FetchBaseRequest.Parser, FetchBaseReply.Parser),
        [MessageKind.RegisterServer] = (RegisterServerRequest.Parser, RegisterServerReply.Parser),
        [MessageKind.Heartbeat] = (HeartbeatRequest.Parser, HeartbeatReply.Parser),
        [MessageKind.Sealed] = (SealedRequest.Parser, SealedReply.Parser),
        [MessageKind.Suspect] = (SuspectRequest.Parser, SuspectReply.Parser),
        [MessageKind.ExpireWriters] = (ExpireWritersRequest.Parser, ExpireWritersReply.Parser),
        [MessageKind.CreateFile] = (CreateFileRequest.Parser, CreateFileReply.Parser),
        [MessageKind.MakeDirectory] = (MakeDirectoryRequest.Parser, MakeDirectoryReply.Parser),
        [MessageKind.ListDirectory] = (ListDirectoryRequest.Parser, ListDirectoryReply.Parser),
        [MessageKind.Stat] = (StatRequest.Parser, StatReply.Parser),
        [MessageKind.Delete] = (DeleteRequest.Parser, DeleteReply.Parser),
        [MessageKind.LocateTail] = (LocateTailRequest.Parser, LocateTailReply.Parser),
        [MessageKind.LocateChunks] = (LocateChunksRequest.Parser, LocateChunksReply.Parser),
        [MessageKind.RegisterWriter] = (RegisterWriterRequest.Parser, RegisterWriterReply.Parser),
        [MessageKind.ClusterStatus] = (ClusterStatusRequest.Parser, ClusterStatusReply.Parser),
        [MessageKind.LookUpWriter] = (LookUpWriterRequest.Parser, LookUpWriterReply.Parser),
        [MessageKind.RetireWriter] = (RetireWriterRequest.Parser, RetireWriterReply.Parser),
        [MessageKind.IdentifyWriters] = (IdentifyWritersRequest.Parser, IdentifyWritersReply.Parser),
        [MessageKind.InspectCopies] = (InspectCopiesRequest.Parser, InspectCopiesReply.Parser),
        [MessageKind.RecoverChunk] = (RecoverChunkRequest.Parser, RecoverChunkReply.Parser),
    };

    /// <summary>Every kind, in order.</summary>
    public static IEnumerable<MessageKind> Kinds => Parsers.Keys;

    public static bool TryGetRequestParser(MessageKind kind, [NotNullWhen(true)] out MessageParser? parser)
    {
        bool known = Parsers.TryGetValue(kind, out var pair);
        parser = known ? pair.Request : null;
        return known;
    }

    public static bool TryGetReplyParser(MessageKind kind, [NotNullWhen(true)] out MessageParser? parser)
    {
        bool known = Parsers.TryGetValue(kind, out var pair);
        parser = known ? pair.Reply : null;
        return known;
    }
}
