using Semel.ChunkServer.Appending;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.ChunkServer.Replicas;

// What a replica's loop takes besides calls.

/// <summary>A flush ended. It says something about the log only if no cut came in between.</summary>
internal sealed record FlushEnded(int Generation, uint UpTo, Exception? Failure);

/// <summary>A secondary answered a PREPARE or NEW_VIEW, or did not.</summary>
internal sealed record MemberAnswered(Primary Asker, MemberStream Member, bool ToNewView, CallResult Result, long SentAt);

/// <summary>The primary's timer fired.</summary>
internal sealed record PrimaryTick(Primary Primary);

/// <summary>The master knows of a newer configuration.</summary>
internal sealed record PrimaryReplaced(Primary Primary);

/// <summary>The master's answer about idle writers: whether it has closed their names.</summary>
internal sealed record WritersExpired(Primary Asker, IReadOnlyList<(WriterId Writer, uint Epoch)> Asked, bool Expired);

/// <summary>Memory durability: written bytes have waited long enough for a flush.</summary>
internal sealed record BackgroundFlushDue;

internal sealed record LeaseRenewed(ulong Version, TimeSpan Duration);

/// <summary>The master knows that the SEAL at the log's end is committed.</summary>
internal sealed record SealConfirmed(ulong Version, uint Length, ulong SealBallot);

/// <summary>
/// The replica should go, unless it has promised the version or a higher one, or knows so many bytes or more to be committed (0: however
/// many).
/// </summary>
/// <param name="OnlyIfPromisedBelow">A version.</param>
/// <param name="OnlyIfCommittedBelow">Bytes.</param>
/// <param name="KeepFiles">Only close them: another replica takes their place.</param>
/// <param name="Ended">OK: it is gone. Otherwise it stays, or its disk failed.</param>
internal sealed record DeleteWanted(ulong OnlyIfPromisedBelow, uint OnlyIfCommittedBelow, bool KeepFiles, TaskCompletionSource<CommandResult> Ended);

/// <summary>The replica may have come to rest.</summary>
internal sealed record RestDue;

/// <summary>The data directory is an older copy of itself. The result says whether the replica remembers it durably.</summary>
internal sealed record DistrustWanted(TaskCompletionSource<bool> Remembered);

/// <summary>Other chunks were sealed since: the writer table of this one will hardly be asked for.</summary>
internal sealed record TableUnneeded;

/// <summary>A reader met bytes that do not verify, or fewer than there should be.</summary>
internal sealed record RotFound(string Detail, bool IsShortage = false);

internal sealed record StopWanted(TaskCompletionSource Stopped);
