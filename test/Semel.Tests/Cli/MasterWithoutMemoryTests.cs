using Google.Protobuf;
using Semel.Cli.Verification;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Tests.Client;

namespace Semel.Tests.Cli;

/// <summary>
/// The frames are as good as ever, and the master's account of them is not: its log has lost its last entries, or is an older one.
/// </summary>
public sealed class MasterWithoutMemoryTests
{
    private readonly PretendCluster _cluster = new();
    private IMessage? _instead;

    public MasterWithoutMemoryTests()
    {
        _cluster.AnswerInstead = (_, request) => _instead is ListReplicasReply && request is ListReplicasRequest
            || _instead is LocateChunksReply && request is LocateChunksRequest ? _instead : null;
        Introduce(_cluster.Last, writer: 7, epoch: 2);
        _cluster.Registered[7] = 2;
    }

    [Fact]
    public void A_file_whose_master_remembers_all_is_there_exactly_once() => Assert.Equal((AuditResult.ExactlyOnce, 0), Verdict(Audit()));

    [Fact]
    public void A_writer_that_the_master_never_gave_away_is_a_violation()
    {
        _cluster.Registered.Remove(7);

        var audit = Audit();

        Assert.Equal((AuditResult.Violated, 1), Verdict(audit));
        Assert.Contains("writer 7 begins epoch 2; the master never gave that id away", audit.Findings[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void An_epoch_that_the_master_never_gave_away_is_a_violation()
    {
        _cluster.Registered[7] = 1;

        var audit = Audit();

        Assert.Equal((AuditResult.Violated, 1), Verdict(audit));
        Assert.Contains("the master has given away epochs up to 1", audit.Findings[0].Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(6, 0)]
    [InlineData(5, 3)]
    public void A_replica_of_another_file_or_place_is_a_violation(ulong fileId, ulong index)
    {
        _instead = Held(fileId, index);

        var audit = Audit();

        Assert.Equal((AuditResult.Violated, 3), Verdict(audit));
        Assert.Contains($"on cs0:1: the replica is of chunk {index} of the file with id {fileId}", audit.Findings[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Frames_of_a_chunk_of_the_file_that_the_master_does_not_know_are_a_violation()
    {
        var lost = new ListReplicasReply { Status = Status.Ok };
        lost.Replicas.Add(Held(5, 0).Replicas[0]);
        lost.Replicas.Add(new HeldReplica { Report = new ChunkReport { Handle = 101, Tail = 4096 }, FileId = 5, Index = 1 });
        _instead = lost;

        var audit = Audit();

        Assert.Equal((AuditResult.Violated, 3), Verdict(audit));
        Assert.Contains("4096 bytes of frames of a chunk that was given to this file; by the master's word it has no chunk at that place", audit.Findings[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_handle_that_comes_again_within_a_file_is_a_violation()
    {
        var twice = new LocateChunksReply { Status = Status.Ok, FileId = 5, ChunkCount = 2 };
        twice.Chunks.Add(_cluster.LocationOf(_cluster.Last));
        twice.Chunks.Add(_cluster.LocationOf(_cluster.Last));
        twice.Chunks[1].Index = 1;
        _instead = twice;

        Assert.Contains(Audit().Findings, f => f.Text.Contains($"its handle is also that of chunk 0 of {PretendCluster.Path}", StringComparison.Ordinal));
    }

    [Fact]
    public void Files_handles_and_writers_that_come_again_in_another_file_are_told()
    {
        var ledger = new ClusterLedger();
        Assert.Null(ledger.FaultOfFile(1, "/a") ?? ledger.FaultOfChunk(2, "/a", 0) ?? ledger.FaultOfWriter(3, "/a"));
        Assert.Null(ledger.FaultOfFile(1, "/a") ?? ledger.FaultOfChunk(2, "/a", 0) ?? ledger.FaultOfWriter(3, "/a"));

        Assert.Contains("/a", ledger.FaultOfFile(1, "/b"), StringComparison.Ordinal);
        Assert.Contains("chunk 0 of /a", ledger.FaultOfChunk(2, "/b", 0), StringComparison.Ordinal);
        Assert.Contains("/a", ledger.FaultOfWriter(3, "/b"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_manifest_made_before_misses_a_chunk_that_the_log_has_lost()
    {
        var check = new ManifestCheck(_cluster, PretendCluster.Master, _cluster.Time);
        var line = new Manifest.ChunkLine(PretendCluster.Path, 1, new ChunkHandle(101).ToString(), 4096, "", 10, "");

        _cluster.Run(_ => check.CompareAsync(line, default));

        Assert.Equal(FindingKind.Corrupt, Assert.Single(check.Findings).Kind);
    }

    private AuditResult Audit()
    {
        AuditResult? result = null;
        _cluster.Run(async _ => result = await new FileAudit(_cluster, PretendCluster.Master, _cluster.Time).RunAsync(PretendCluster.Path, default));
        return result!;
    }

    private static (string, int) Verdict(AuditResult audit) => (audit.Verdict, audit.Findings.Count);

    private ListReplicasReply Held(ulong fileId, ulong index)
    {
        var reply = new ListReplicasReply { Status = Status.Ok };
        reply.Replicas.Add(new HeldReplica { Report = new ChunkReport { Handle = 100, Tail = (uint)_cluster.Last.Bytes.Length }, FileId = fileId, Index = index });
        return reply;
    }

    private static void Introduce(PretendChunk chunk, ulong writer, uint epoch) =>
        chunk.Append(new FrameHeader { Kind = FrameKind.InitWriter, Writer = new WriterId(writer), Epoch = epoch }, []);
}
