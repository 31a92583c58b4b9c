using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.ChunkServer.Appending;

/// <summary>Someone who is answered when the watermark reaches <see cref="End"/>.</summary>
/// <param name="Writer">For an INIT in flight: whose it is, so that a repeated one finds it.</param>
/// <param name="Memory">
/// For an INIT in flight: what its answer tells of the writer's last batches. All of them are committed when the INIT is.
/// </param>
internal readonly record struct Waiter(
    IncomingCall Call, uint End, AppendStatus Status, uint Offset, ulong LastSequence, long TimeMs, WriterId Writer, uint InitEpoch, WriterMemory? Memory = null)
{
    /// <summary>Answers that the frame is committed (or, for a SEAL, that the chunk takes nothing more).</summary>
    public void Commit(Ballot ballot, ulong chunkIndex) => Call.Reply(new AppendReply
    {
        Status = Status,
        Ballot = ballot.Value,
        ChunkIndex = chunkIndex,
        Offset = Offset,
        LastSequence = LastSequence,
        TimeMs = TimeMs,
        Memory = Memory,
    });

    /// <summary>Answers that nobody knows yet: this server can no longer tell.</summary>
    public void LeaveInDoubt(Ballot ballot) => Call.Reply(new AppendReply { Status = AppendStatus.Retry, Ballot = ballot.Value });
}
