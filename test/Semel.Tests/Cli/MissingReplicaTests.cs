using Google.Protobuf;
using Semel.Cli.Verification;
using Semel.Protocol.Frames;
using Semel.Protocol.Messages;
using Semel.Tests.Client;

namespace Semel.Tests.Cli;

/// <summary>
/// A replica is not there. A master that has just started counts on it, since its log says where replicas were put and not which of them were lost; one that has heard
/// what its servers hold does not count on it, or something is wrong.
/// </summary>
public sealed class MissingReplicaTests
{
    private const string Lacking = "cs2:1";

    private readonly PretendCluster _cluster = new();
    private int _questionsUntilAllReported;
    private int _questions;
    private bool _reportNamesIt;

    public MissingReplicaTests()
    {
        byte[] batch = [3, 0, 0, 0, .. "one"u8];
        _cluster.Last.Append(new FrameHeader { Kind = FrameKind.Data, RecordCount = 1 }, batch);
        _cluster.AnswerInstead = Answer;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(30)]
    public void It_is_the_masters_word_after_the_reports_that_counts(int questions)
    {
        _questionsUntilAllReported = questions;

        var audit = Audit();
        var check = Check();

        Assert.Equal((AuditResult.Incomplete, 2L, 1L), (audit.Verdict, audit.Replicas, audit.Unread));
        Assert.Equal("chunk 0 has 2 of 3 replicas", Assert.Single(audit.Findings).Text);
        Assert.Equal((2L, 0), (check.Replicas, check.Findings.Count));
    }

    [Fact]
    public void A_master_that_counts_on_it_although_it_has_heard_of_all_is_contradicted()
    {
        _reportNamesIt = true;

        var audit = Audit();
        var check = Check();

        Assert.Equal((AuditResult.Violated, 1L), (audit.Verdict, audit.Corrupt));
        Assert.Contains($"on {Lacking}: at offset 0: the replica is not there, although the master counts on it", Assert.Single(audit.Findings).Text, StringComparison.Ordinal);
        Assert.Equal(FindingKind.Corrupt, Assert.Single(check.Findings).Kind);
    }

    [Fact]
    public void A_master_that_does_not_hear_of_all_leaves_the_verdict_open()
    {
        _questionsUntilAllReported = int.MaxValue;

        var audit = Audit();
        var check = Check();

        Assert.Equal((AuditResult.Incomplete, 1L), (audit.Verdict, audit.Unread));
        Assert.Contains("may not have heard yet what its servers hold", Assert.Single(audit.Findings).Text, StringComparison.Ordinal);
        Assert.Equal(FindingKind.Unread, Assert.Single(check.Findings).Kind);
    }

    private AuditResult Audit()
    {
        _questions = 0;
        AuditResult? result = null;
        _cluster.Run(async _ => result = await new FileAudit(_cluster, PretendCluster.Master, _cluster.Time).RunAsync(PretendCluster.Path, default));
        return result!;
    }

    private ManifestCheck Check()
    {
        _questions = 0;
        var check = new ManifestCheck(_cluster, PretendCluster.Master, _cluster.Time);
        var chunk = _cluster.Last;
        string sha256 = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(chunk.Bytes));
        var line = new Manifest.ChunkLine(PretendCluster.Path, 0, chunk.Handle.ToString(), (uint)chunk.Bytes.Length, sha256, 1, "");
        _cluster.Run(_ => check.CompareAsync(line, default));
        return check;
    }

    private IMessage? Answer(string address, IMessage request)
    {
        switch (request)
        {
            case StatRequest:
                return new StatReply { Status = Status.Ok, FileId = 5, Replicas = 3 };
            case ReadFramesRequest when address == Lacking:
                return new ReadFramesReply { Status = ReadStatus.ReadNoChunk };
            case ClusterStatusRequest:
                return new ClusterStatusReply { Status = Status.Ok, Recovering = _questions++ < _questionsUntilAllReported };
            case LocateChunksRequest when _questions > _questionsUntilAllReported && !_reportNamesIt:
                var location = _cluster.LocationOf(_cluster.Last);
                location.Members.Remove(location.Members.Single(m => m.Address == Lacking));
                var reply = new LocateChunksReply { Status = Status.Ok, ChunkCount = 1 };
                reply.Chunks.Add(location);
                return reply;
            default:
                return null;
        }
    }
}
