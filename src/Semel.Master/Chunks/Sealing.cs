using Google.Protobuf;
using Microsoft.Extensions.Logging;
using Semel.Master.OperationLog;
using Semel.Master.Repair;
using Semel.Master.Servers;
using Semel.Master.Views;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master.Chunks;

/// <summary>The end of a chunk: primaries report it, and are asked for it where the file would be better off with a new chunk.</summary>
internal sealed class Sealing(
    MasterServices services, ServerRegistry servers, ActivityTable activities, Placement placement, ViewChanges views, ChunkMaker maker, Rereplication repair)
{
    private const int Tries = 5;

    private readonly SortedSet<ulong> _asked = [];

    /// <summary>
    /// The primary says that the SEAL is committed. Honoured only from the primary of the current configuration of an open chunk; saying it
    /// again is harmless.
    /// </summary>
    public Status TakeSealed(SealedRequest request)
    {
        if (services.State.FindChunk(new ChunkHandle(request.Handle)) is not { } chunk)
            return Status.NotFound;
        if (chunk.IsSealed)
        {
            if (chunk.SealedLength == request.Length)
                return Status.Ok;
            services.Logger.SealContradicted(new ServerId(request.Sender), chunk.Handle, request.Length, chunk.SealedLength);
            return Status.Stale;
        }
        if (request.Version != chunk.Version || request.Sender != chunk.Primary.Value)
            return Status.Stale;
        if (request.Length == 0 || request.Length > chunk.File.Settings.ChunkCapacity)
            return Status.Invalid;
        services.Journal.Append(new LogEntry
        {
            ChunkSealed = new ChunkSealed { Handle = request.Handle, Version = request.Version, Length = request.Length, BaseDigest = request.BaseDigest, SealBallot = request.SealBallot },
        });
        services.Logger.ChunkSealed(chunk.Handle, chunk.SealedLength, chunk.Version);
        repair.WasSealed(chunk);
        // Ahead of the first question for it; but a file that nobody writes needs no new chunk because a server went away.
        if (activities.IsInUse(chunk.File) || chunk.SealedLength >= chunk.File.Settings.ChunkCapacity / 2)
            maker.Start(chunk.File);
        return Status.Ok;
    }

    /// <summary>
    /// Asks for the end of open chunks that lack members, where another server can take a copy, or be a member of the file's next chunk;
    /// those with the fewest members first. Nobody need write the file for that.
    /// </summary>
    /// <param name="serverCameBack">Now rather than after the usual pause.</param>
    public void EndShortChunks(bool serverCameBack)
    {
        if (services.State.ShortOpenChunks.Count == 0)
            return;
        var spares = new Dictionary<(ServerSet, uint), int>();
        foreach (var chunk in services.State.ShortOpenChunks.Values.OrderBy(c => c.Members.Count).ToList())
        {
            if (_asked.Count >= services.Options.ParallelViewChanges)
                return;
            var kind = (chunk.Members, chunk.File.Settings.ChunkCapacity);
            if (!spares.TryGetValue(kind, out int count))
                spares.Add(kind, count = chunk.Members.All(servers.IsAlive) ? placement.SparesFor(chunk.Members, chunk.File.Settings.ChunkCapacity) : 0);
            if (count == 0 || views.IsNeeded(chunk) || _asked.Contains(chunk.Handle.Value))
                continue;
            var activity = activities.Of(chunk.File);
            if (!serverCameBack && activity.ShortSealAt is { } last && services.Since(last) < services.Options.ShortSealPause)
                continue;
            activity.ShortSealAt = services.Now;
            services.Run(AskAsync(chunk));
        }
    }

    private async Task AskAsync(Chunk chunk)
    {
        _asked.Add(chunk.Handle.Value);
        ulong version = chunk.Version;
        var request = new SealChunkRequest { MasterEpoch = services.State.Epoch, Handle = chunk.Handle.Value, Version = version, MasterNonce = services.State.Nonce };
        for (int i = 0; i < Tries && !chunk.IsGone && !chunk.IsSealed && chunk.Version == version; i++)
        {
            if (i > 0)
                await Task.Delay(services.Options.CallTimeout, services.Time, services.Stopping);
            var result = await services.Wire.LinkTo(servers.Get(chunk.Primary).Address)
                .CallAsync(MessageKind.SealChunk, request, Payload.Empty, services.Options.CallTimeout, services.Stopping);
            result.Payload.Release();
            if (result.IsAnswered && result.Answer<SealChunkReply>().Status is Status.Ok or Status.Stale or Status.NotFound)
                break;
        }
        _asked.Remove(chunk.Handle.Value);
    }
}
