using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>A replica as its server lists it, whatever the master thinks of it.</summary>
/// <param name="Tail">Where its log ends.</param>
/// <param name="Committed">What it knows to be committed: may be less than there is, never more.</param>
internal readonly record struct HeldCopy(ServerAddress Server, ulong FileId, ulong Index, ulong Handle, uint Tail, uint Committed);

/// <summary>Which replicas the servers of a cluster have, as of when they were asked. Servers that do not answer have none here.</summary>
internal sealed class HeldCopies
{
    private const uint Page = 5000;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan CallTimeOfDead = TimeSpan.FromSeconds(2);

    private readonly Dictionary<ulong, List<HeldCopy>> _byFile = [];

    public IReadOnlyList<HeldCopy> OfFile(ulong fileId) => _byFile.TryGetValue(fileId, out var copies) ? copies : [];

    /// <param name="fileId">0: of all files.</param>
    public static async Task<HeldCopies> ListAsync(IWire wire, IEnumerable<ServerStatus> servers, ulong fileId, CancellationToken cancellation)
    {
        var held = new HeldCopies();
        foreach (var server in servers)
        {
            ulong after = 0;
            while (await AskAsync(wire, server.Server, after, Page, fileId, server.Alive ? CallTime : CallTimeOfDead, cancellation) is { } reply)
            {
                foreach (var replica in reply.Replicas)
                {
                    if (!held._byFile.TryGetValue(replica.FileId, out var copies))
                        held._byFile.Add(replica.FileId, copies = []);
                    copies.Add(Of(server.Server, replica));
                    after = replica.Report.Handle;
                }
                if (!reply.More || reply.Replicas.Count == 0)
                    break;
            }
        }
        return held;
    }

    /// <summary>What a server has of a chunk now; null: nothing, or it does not answer.</summary>
    public static async Task<HeldCopy?> OneAsync(IWire wire, ServerAddress server, ulong handle, CancellationToken cancellation)
    {
        var reply = await AskAsync(wire, server, handle - 1, 1, 0, CallTime, cancellation);
        return reply?.Replicas.FirstOrDefault(r => r.Report.Handle == handle) is { } replica ? Of(server, replica) : null;
    }

    private static HeldCopy Of(ServerAddress server, HeldReplica replica) =>
        new(server, replica.FileId, replica.Index, replica.Report.Handle, replica.Report.Tail, replica.Report.Committed);

    private static async Task<ListReplicasReply?> AskAsync(
        IWire wire, ServerAddress server, ulong after, uint limit, ulong fileId, TimeSpan callTime, CancellationToken cancellation)
    {
        var request = new ListReplicasRequest { ServerId = server.ServerId, After = after, Limit = limit, FileId = fileId };
        var result = await wire.LinkTo(server.Address).CallAsync(MessageKind.ListReplicas, request, default, callTime, cancellation);
        result.Payload.Release();
        cancellation.ThrowIfCancellationRequested();
        return result.IsAnswered && result.Answer<ListReplicasReply>() is { Status: Status.Ok } reply && reply.Replicas.All(r => r.Report is not null) ? reply : null;
    }
}
