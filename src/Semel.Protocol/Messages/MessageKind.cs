namespace Semel.Protocol.Messages;

/// <summary>What a call asks. The numbers are on the wire and never change their meaning.</summary>
public enum MessageKind : ushort
{
    // Client to primary, primary to secondary
    Append = 1,
    InitWriter = 2,
    Prepare = 3,
    NewView = 4,
    EvictWriter = 5,

    // Reading
    ReadFrames = 10,
    InspectChunk = 11,
    FindWriter = 12,
    ListReplicas = 13,

    // Master to chunk server
    CreateChunk = 20,
    Promise = 21,
    Grant = 22,
    SealChunk = 23,
    KnownMaster = 24,

    // Chunk server to chunk server
    FetchBase = 30,

    // Chunk server to master
    RegisterServer = 40,
    Heartbeat = 41,
    Sealed = 42,
    Suspect = 43,
    ExpireWriters = 44,

    // Client to master
    CreateFile = 60,
    MakeDirectory = 61,
    ListDirectory = 62,
    Stat = 63,
    Delete = 64,
    LocateTail = 65,
    LocateChunks = 66,
    RegisterWriter = 67,
    ClusterStatus = 68,
    LookUpWriter = 69,
    RetireWriter = 70,
    IdentifyWriters = 71,
    InspectCopies = 72,
    RecoverChunk = 73,
}
