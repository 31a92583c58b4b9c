using Semel.Cli.Terminal;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>
/// Looks at copies of a chunk that the file does not rest on: on servers that are no members (any more), or longer than the chunk. Such a
/// copy may be the one witness of a loss. What it proves is what was committed when its frames were sequenced: each frame says how far, and
/// a watermark is never too high. The rest of it may be frames that were never acknowledged, and proves nothing.
/// </summary>
internal sealed class CopyJudge(IWire wire, ChunkMap map, ReplicaReader reader)
{
    private static readonly uint SealLength = FrameHeader.LengthOfFrame(FrameHeader.SealPayloadLength);

    /// <summary>A copy against the chunk as it was audited.</summary>
    /// <param name="length">Bytes of the chunk that were audited.</param>
    /// <param name="good">A replica of them that verifies; null: none does.</param>
    /// <returns>Null: it proves nothing against the file.</returns>
    public async Task<Finding?> JudgeAsync(string path, ChunkLocation chunk, uint length, ServerAddress? good, HeldCopy copy, CancellationToken cancellation)
    {
        bool isMember = chunk.Members.Any(m => m.ServerId == copy.Server.ServerId);
        if (copy.Tail == 0 || (isMember && Math.Max(copy.Tail, copy.Committed) <= length))
            return null;
        var handle = new ChunkHandle(chunk.Handle);
        uint proven = copy.Committed;
        long records = 0;
        var content = await reader.ReadAsync(copy.Server, handle, copy.Tail, (in FrameHeader frame, ReadOnlySpan<byte> _) =>
        {
            proven = Math.Max(proven, frame.Committed);
            records += frame.RecordCount;
        }, cancellation, beyondWatermark: true);
        if (content.Kind is FindingKind.Missing or FindingKind.Unread)
            return null;
        string whose = $"a copy that {(isMember ? "a member" : "a server that is no member")} holds";
        // Asked after the copy was read: whatever was committed then is committed now.
        ChunkLocation again;
        uint committed;
        try
        {
            (again, committed) = await map.SettleAsync(path, await map.LocateOneAsync(path, chunk.Index, cancellation), cancellation);
        }
        catch (CommandException e) when (e.ExitCode == ExitCode.Temporary)
        {
            return Of(chunk, FindingKind.Unread, copy, $"{whose} could not be compared: {e.Message}");
        }
        if (again.Handle != chunk.Handle)
            return null;
        // The SEAL is no record: a frame that ends within it was committed in its place.
        uint recordsEnd = again.Sealed ? committed - Math.Min(committed, SealLength) : committed;
        if (proven > recordsEnd && proven != committed)
        {
            string end = again.Sealed ? $"is sealed at {committed}, its records end at {recordsEnd}" : $"ends at {committed}";
            return Of(chunk, FindingKind.Corrupt, copy, $"{whose} has {proven} committed bytes ({records} records up to its end at {content.Length}); "
                + $"the chunk {end}: what was committed is not in the file. Keep this copy");
        }
        uint common = Math.Min(proven, Math.Min(content.Length, length));
        if (good is null || common == 0)
            return null;
        var ofGood = await reader.ReadAsync(good, handle, common, null, cancellation);
        var ofCopy = await reader.ReadAsync(copy.Server, handle, common, null, cancellation, beyondWatermark: true);
        if (ofGood.Kind is not null || ofCopy.Kind is FindingKind.Missing or FindingKind.Unread or FindingKind.Corrupt || ofGood.Digest == ofCopy.Digest)
            return null;
        return Of(chunk, FindingKind.Divergent, copy, $"{whose} has other bytes than {good.Address} within the {common} that were committed. Keep this copy");
    }

    /// <summary>
    /// What a member says of its replica against what the master says of the chunk. Null: they agree, or it does not answer.
    /// </summary>
    public async Task<Finding?> CompareIdentityAsync(ulong fileId, ChunkLocation chunk, ServerAddress member, CancellationToken cancellation) =>
        await HeldCopies.OneAsync(wire, member, chunk.Handle, cancellation) is { } copy && (copy.FileId, copy.Index) != (fileId, chunk.Index)
            ? Of(chunk, FindingKind.Corrupt, copy, $"the replica is of chunk {copy.Index} of the file with id {copy.FileId}; the master has it as chunk {chunk.Index} of the one with id {fileId}")
            : null;

    /// <summary>
    /// A copy with frames that says it is of a chunk of this file, and is none that the master named. Null: it is one by now, or it is
    /// gone.
    /// </summary>
    public async Task<Finding?> JudgeUnknownAsync(string path, HeldCopy copy, CancellationToken cancellation)
    {
        string there = "it has no chunk at that place";
        try
        {
            var chunk = await map.LocateOneAsync(path, copy.Index, cancellation);
            if (chunk.Handle == copy.Handle)
                return null;
            there = $"it has chunk {new ChunkHandle(chunk.Handle)} at that place";
        }
        catch (CommandException e) when (e.ExitCode == ExitCode.NotFound)
        {
            // The file, or only the chunk?
            if ((await map.StatAsync(path, cancellation)).FileId != copy.FileId)
                return null;
        }
        if (await HeldCopies.OneAsync(wire, copy.Server, copy.Handle, cancellation) is not { Tail: > 0 } now || now.FileId != copy.FileId)
            return null;
        return new Finding(FindingKind.Corrupt, $"chunk {copy.Index} ({new ChunkHandle(copy.Handle)}) on {copy.Server.Address}: {now.Tail} bytes of frames of a chunk that was "
            + $"given to this file; by the master's word {there}. Its log has lost that, or is an older one. Keep this copy", copy.Server.Address, copy.Handle);
    }

    private static Finding Of(ChunkLocation chunk, FindingKind kind, HeldCopy copy, string what) =>
        new(kind, $"chunk {chunk.Index} ({new ChunkHandle(chunk.Handle)}) on {copy.Server.Address}: {what}", copy.Server.Address, chunk.Handle);
}
