using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.Garbage;
using Semel.Master.Leases;
using Semel.Master.Repair;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Master.Servers;

/// <summary>
/// What chunk servers say every second, and what they are told in return: reports and results up, leases and commands down.
/// </summary>
internal sealed class Heartbeats(
    MasterServices services, ServerRegistry servers, Registration registration, GarbageCollection garbage, Rereplication repair, LeaseTable leases)
{
    /// <summary>
    /// Heartbeats that may be lost on the way before the server must register again. A larger step belongs to an earlier registration.
    /// </summary>
    private const ulong MaxSequenceStep = 4;

    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(2);

    /// <summary>The same failure of the same command is told this often.</summary>
    private static readonly TimeSpan ToldAgainAfter = TimeSpan.FromMinutes(10);
    private const int RememberedFailures = 10_000;

    private readonly Dictionary<(ServerId Server, ulong Chunk, OrderKind Kind), long> _told = [];
    private uint _commands;

    public HeartbeatReply Take(HeartbeatRequest request)
    {
        var reply = new HeartbeatReply { Status = Status.Ok, MasterEpoch = services.State.Epoch };
        if (!servers.TryGet(new ServerId(request.ServerId), out var server) || server.Incarnation != request.Incarnation || !IsExpected(server, request.Sequence)
            || !IsForUs(request))
        {
            reply.Status = Status.Stale;
            return reply;
        }
        bool serves = request.Serves || IsOfAnOlderVersion(request);
        if (serves)
            services.Standing.Confirm(server.Id);
        if (serves && !server.Serves)
        {
            server.Serves = true;
            servers.Changed.Fire();
        }
        reply.Position = services.Journal.DurableEntry;
        bool isNews = request.Sequence > server.Sequence;   // what is late or repeated says is old
        if (isNews)
            TakeNews(server, request);
        reply.Elected = services.Standing.IsElected;
        if (!isNews || !serves || !services.Standing.IsConfirmed)
            return reply;
        reply.Leases.AddRange(leases.Renew(server));
        reply.Commands.AddRange(server.Commands.Take(services.Now, NextCommandId));
        return reply;
    }

    private void TakeNews(KnownServer server, HeartbeatRequest request)
    {
        server.Sequence = request.Sequence;
        server.HeardAt = services.Now;
        (server.CapacityBytes, server.FreeBytes) = (request.CapacityBytes, request.FreeBytes);
        if (server.Presence == ServerPresence.Dead)
            registration.Revive(server);
        registration.TakeGeneration(server, request.Generation);

        foreach (var report in request.Chunks)
        {
            if (server.Report is { } page)
                Note(server, page, report);
            garbage.Take(server, report);
        }
        if (request.ReportComplete && server.Report is { } full)
            registration.ReportCompleted(server, full, missing => garbage.TakeMissing(server, missing));
        foreach (var result in request.Results)
            TakeResult(server, result);
    }

    /// <summary>A server says which master it has registered with; one of an older version of Semel does not know of such things.</summary>
    private bool IsForUs(HeartbeatRequest request) =>
        IsOfAnOlderVersion(request) || (request.MasterEpoch == services.State.Epoch && request.MasterNonce == services.State.Nonce);

    private static bool IsOfAnOlderVersion(HeartbeatRequest request) => request.MasterEpoch == 0;

    /// <summary>
    /// While a full report is under way every page must come; later a lost heartbeat does no harm, because what it said is said again.
    /// </summary>
    private static bool IsExpected(KnownServer server, ulong sequence) =>
        server.Report is null ? sequence <= server.Sequence + MaxSequenceStep : sequence <= server.Sequence + 1;

    private void Note(KnownServer server, FullReport full, ChunkReport report)
    {
        full.Seen.Add(report.Handle);
        if (services.State.FindChunk(new ChunkHandle(report.Handle)) is not { IsSealed: false } chunk)
            return;
        if (report.Suspect && chunk.Members.Contains(server.Id))
            full.Unsettled.Add(report.Handle);
        else if (new Ballot(report.LastView).Version != chunk.Version)
            return;
        else if (report.Primary)
            full.Primaries.Add(report.Handle);
        else if (report.Committed < report.Tail)
            full.Unsettled.Add(report.Handle);
    }

    private void TakeResult(KnownServer server, CommandResult result)
    {
        if (server.Commands.TakeResult(result.CommandId) is not { } order)
            return;
        if (result.Status is Status.Ok or Status.Stale)
            _told.Remove((server.Id, order.Handle.Value, order.Kind));
        else
            Tell(server, order, result);
        var chunk = services.State.FindChunk(order.Handle);
        switch (order.Kind)
        {
            case OrderKind.Delete when result.Status is not (Status.Ok or Status.Stale or Status.Invalid or Status.Conflict):
                var delay = RetryDelay * (1 << Math.Min(order.Failures, 5));
                server.Commands.TryAdd(order with { Command = order.Command.Clone(), Failures = order.Failures + 1, NotBefore = services.Now + services.TimestampsIn(delay) });
                break;
            case OrderKind.Clone:
                repair.CloneEnded(order.Handle, server.Id, result.Status is Status.Ok or Status.Stale);
                break;
        }
        // A command kept the deletion of the file from ordering this.
        if (chunk is null && order.Kind != OrderKind.Delete)
            server.Commands.TryAdd(Order.Delete(order.Handle, ulong.MaxValue));
    }

    private void Tell(KnownServer server, Order order, CommandResult result)
    {
        var key = (server.Id, order.Handle.Value, order.Kind);
        if (_told.TryGetValue(key, out long at) && services.Since(at) < ToldAgainAfter)
            return;
        if (_told.Count >= RememberedFailures)
            _told.Clear();
        _told[key] = services.Now;
        services.Logger.CommandFailed(server.Id, result.CommandId, order.Handle, $"{result.Status}: {result.Detail}");
    }

    /// <summary>Never the same again, also not by the master's next incarnation: chunk servers remember the ids of what they did.</summary>
    private ulong NextCommandId() => (services.State.Epoch << 32) | ++_commands;
}
