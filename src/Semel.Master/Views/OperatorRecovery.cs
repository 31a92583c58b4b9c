using Semel.Master.Chunks;
using Semel.Master.Servers;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Scheduling;
using Semel.Protocol.Wires;

namespace Semel.Master.Views;

/// <summary>
/// A chunk that cannot go on by itself, because what is left of it may lack acknowledged records, waits for its operator. He is shown every
/// copy that there is, and may decide for one: the chunk then goes on with that one alone, is ended at once, and is copied. What only
/// others hold is given up, and kept where it is (<see cref="Garbage.LossProofs"/>).
/// </summary>
internal sealed class OperatorRecovery(MasterServices services, ServerRegistry servers, ViewChanges views)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>Asks every chunk server for its copy. Changes nothing.</summary>
    public async Task<InspectCopiesReply> InspectAsync(InspectCopiesRequest request)
    {
        if (services.State.FindChunk(new ChunkHandle(request.Handle)) is not { } chunk)
            return new InspectCopiesReply { Status = Status.NotFound, Detail = NoSuchChunk(request.Handle) };
        var copies = await Task.WhenAll(servers.All.Select(server => AskAsync(chunk, server)).ToList());
        var reply = new InspectCopiesReply
        {
            Status = Status.Ok,
            Path = chunk.IsGone ? "" : chunk.File.Path,
            Index = chunk.Index,
            Version = chunk.Version,
            Sealed = chunk.IsSealed,
            SealedLength = chunk.SealedLength,
            Replicas = chunk.File.Settings.Replicas,
            Problem = !chunk.IsSealed && views.IsNeeded(chunk) ? views.ProblemOf(chunk)
                : chunk.IsSealed && !chunk.Replicas.Any(servers.IsAlive) ? "no server that is alive has all of it" : "",
        };
        reply.Copies.AddRange(copies);
        return reply;
    }

    /// <summary>
    /// 1: only an open chunk that does not go on by itself. 2: only the configuration that the operator has looked at. 3: the decision is
    /// logged, and its primary told (<see cref="ViewChanges.DecideAsync"/>). 4: the chunk has ended.
    /// </summary>
    public async Task<RecoverChunkReply> RecoverAsync(RecoverChunkRequest request, long arrivedAt, TimeSpan timeLeft)
    {
        // Step 1
        if (services.State.FindChunk(new ChunkHandle(request.Handle)) is not { } chunk)
            return Refuse(Status.NotFound, NoSuchChunk(request.Handle));
        if (!servers.TryGet(new ServerId(request.ServerId), out var server))
            return Refuse(Status.NotFound, $"There is no chunk server {new ServerId(request.ServerId)} in this cluster.");
        if (chunk.IsSealed)
            return Refuse(Status.Conflict, $"Chunk {chunk.Handle} is sealed at {chunk.SealedLength} bytes: its records were acknowledged, and the chunk after it begins from their totals, so no shorter copy can stand for it. It can be read as soon as a server that has all of it comes back.");
        if (!views.IsNeeded(chunk))
            return Refuse(Status.Conflict, $"Chunk {chunk.Handle} has a primary, chunk server {chunk.Primary} at {servers.Get(chunk.Primary).Address}: there is nothing to decide.");
        try
        {
            // Once more, if it was tried already; a member that came back would have been noticed by now.
            var patience = views.HasProblem(chunk) ? services.Options.PromiseWait * 2 : services.Options.CallTimeout * 1.5;
            await views.Start(chunk, "an operator asks whether it can go on").WithinAsync(patience, services.Time, services.Stopping);
        }
        catch (TimeoutException)
        {
        }
        if (chunk.IsGone || chunk.IsSealed || !views.IsNeeded(chunk))
            return Refuse(Status.Conflict, $"Chunk {chunk.Handle} goes on by itself, with chunk server {chunk.Primary} as its primary: there is nothing to decide.");

        // Step 2
        if (request.Version != chunk.Version)
            return Refuse(Status.Stale, $"Chunk {chunk.Handle} has version {chunk.Version} by now, and the decision was made for version {request.Version}. Look at its copies again.");

        // Step 3
        if (await views.DecideAsync(chunk, server.Id) is { } problem)
            return Refuse(Status.Unavailable, problem);

        // Step 4
        while (!chunk.IsSealed && !chunk.IsGone && services.Since(arrivedAt) < timeLeft * 0.8)
            await Task.Delay(Poll, services.Time, services.Stopping);
        return new RecoverChunkReply { Status = Status.Ok, Version = chunk.Version, Sealed = chunk.IsSealed, Length = chunk.SealedLength };
    }

    private async Task<ChunkCopy> AskAsync(Chunk chunk, KnownServer server)
    {
        var copy = new ChunkCopy
        {
            Server = server.ToMessage(),
            Alive = server.IsAlive,
            Member = (chunk.IsSealed ? chunk.Replicas : chunk.Members).Contains(server.Id),
            ProvesLoss = services.State.ProofsOfLoss.ContainsKey((chunk.Handle.Value, server.Id)),
            Status = Status.Unavailable,
        };
        if (!server.IsAlive && servers.Alive.FirstOrDefault(s => s.Address == server.Address) is { } other)
        {
            copy.Detail = $"chunk server {other.Id} has its address now";
            return copy;
        }
        var result = await services.Wire.LinkTo(server.Address).CallAsync(
            MessageKind.InspectChunk, new InspectChunkRequest { Handle = chunk.Handle.Value }, Payload.Empty, services.Options.CallTimeout, services.Stopping);
        result.Payload.Release();
        if (!result.IsAnswered)
        {
            copy.Detail = $"it does not answer ({result.Outcome}: {result.Detail})";
            return copy;
        }
        var reply = result.Answer<InspectChunkReply>();
        (copy.Status, copy.Report, copy.FileRecords, copy.FilePayloadBytes) = (reply.Status, reply.Report, reply.FileRecords, reply.FilePayloadBytes);
        copy.Detail = reply.Status == Status.Ok ? "" : reply.Status == Status.NotFound ? "it has no replica" : $"it answered {reply.Status}";
        return copy;
    }

    private static string NoSuchChunk(ulong handle) => $"There is no chunk {new ChunkHandle(handle)}: its file was deleted, or there never was one.";

    private static RecoverChunkReply Refuse(Status status, string detail) => new() { Status = status, Detail = detail };
}
