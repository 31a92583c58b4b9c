using Microsoft.Extensions.Logging;
using Semel.Master.Chunks;
using Semel.Master.OperationLog;
using Semel.Master.Servers;
using Semel.Protocol.Buffers;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Master.Garbage;

/// <summary>
/// Replicas that prove a loss: they know frames to be committed that their chunk does not have. Whatever the cause (an operator who
/// decided, a disk that lied, a bug), records that were acknowledged are missing from the file, and this replica may be all that is left of
/// them. It is logged, and kept for ever.
/// </summary>
internal sealed class LossProofs(MasterServices services, ServerRegistry servers)
{
    /// <summary>Former members of open chunks that are compared with the members at a time, and how often the same one.</summary>
    private const int ParallelChecks = 4;
    private static readonly TimeSpan PauseBetweenChecks = TimeSpan.FromSeconds(30);

    private readonly SortedDictionary<(ulong Handle, ServerId Server), Candidate> _candidates = [];
    private int _running;

    public bool Has(ChunkHandle handle, ServerId server) => services.State.ProofsOfLoss.ContainsKey((handle.Value, server));

    /// <summary>Of a sealed chunk, or of one whose members were asked.</summary>
    public void Take(Chunk chunk, ServerId server, uint committed)
    {
        if (services.State.ProofsOfLoss.TryGetValue((chunk.Handle.Value, server), out uint known) && known >= committed)
            return;
        services.Journal.Append(new LogEntry { LossProven = new LossProven { Handle = chunk.Handle.Value, Server = server.Value, Committed = committed } });
        services.Logger.LossProven(chunk.Handle, chunk.File.Path, server, servers.Get(server).Address, committed);
    }

    /// <summary>
    /// A former member of an open chunk reported. Each current member must have all that it knows to be committed, or has it in its log at
    /// least.
    /// </summary>
    public void Compare(Chunk chunk, ServerId server, ChunkReport report)
    {
        if (report.Committed > 0 && !Has(chunk.Handle, server))
            _candidates[(chunk.Handle.Value, server)] = new Candidate(report) { NotBefore = services.Now };
    }

    public void Tick()
    {
        foreach (var (key, candidate) in _candidates.ToList())
        {
            if (services.State.FindChunk(new ChunkHandle(key.Handle)) is not { } chunk)
                _candidates.Remove(key);
            else if (chunk.IsSealed)
            {
                _candidates.Remove(key);
                if (ReplicaJudge.KnowsMore(chunk, candidate.Report))
                    Take(chunk, key.Server, candidate.Committed);
            }
            else if (_running < ParallelChecks && services.Now >= candidate.NotBefore)
            {
                candidate.NotBefore = services.Now + services.TimestampsIn(PauseBetweenChecks);
                services.Run(CheckAsync(chunk, key.Server, candidate));
            }
        }
    }

    private async Task CheckAsync(Chunk chunk, ServerId server, Candidate candidate)
    {
        _running++;
        ulong version = chunk.Version;
        uint most = 0;
        bool all = true;
        bool isEnding = false;
        foreach (var member in chunk.Members)
        {
            var result = await services.Wire.LinkTo(servers.Get(member).Address).CallAsync(
                MessageKind.InspectChunk, new InspectChunkRequest { Handle = chunk.Handle.Value }, Payload.Empty, services.Options.CallTimeout, services.Stopping);
            result.Payload.Release();
            if (result.IsAnswered && result.Answer<InspectChunkReply>() is { Status: Status.Ok } reply)
                (most, isEnding) = (Math.Max(most, reply.Report.Tail), isEnding | reply.Report.EndsInSeal);
            else
                all = false;
        }
        _running--;
        if (chunk.IsGone || chunk.IsSealed || chunk.Version != version)
            return;     // looked at again
        if (most >= candidate.Committed)
        {
            // A SEAL is no record that the other one may be missing: decided when the chunk is sealed.
            if (!isEnding)
                _candidates.Remove((chunk.Handle.Value, server));
        }
        else if (all)
        {
            _candidates.Remove((chunk.Handle.Value, server));
            Take(chunk, server, candidate.Committed);
        }
    }

    private sealed class Candidate(ChunkReport report)
    {
        public ChunkReport Report => report;
        public uint Committed => report.Committed;
        public long NotBefore { get; set; }
    }
}
