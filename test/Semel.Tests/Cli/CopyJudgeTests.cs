using Semel.Cli.Terminal;
using Semel.Cli.Verification;
using Semel.Protocol.Frames;
using Semel.Protocol.Messages;
using Semel.Tests.Client;

namespace Semel.Tests.Cli;

/// <summary>A copy on a server that is no member, and a chunk that nobody can settle.</summary>
public sealed class CopyJudgeTests
{
    private static readonly ServerAddress Elsewhere = new() { ServerId = 99, Address = "cs9:1" };

    private readonly PretendCluster _cluster = new();
    private readonly PretendChunk _copy;

    public CopyJudgeTests()
    {
        _copy = new PretendChunk(_cluster.Last.Handle, 0);
        foreach (var chunk in (PretendChunk[])[_cluster.Last, _copy])
            chunk.Append(new FrameHeader { Kind = FrameKind.Data, RecordCount = 1 }, Batch("one"));
    }

    [Fact]
    public void A_committed_record_in_the_place_of_the_SEAL_is_found_although_the_chunk_is_longer()
    {
        Seal(_cluster.Last);
        _copy.Append(new FrameHeader { Kind = FrameKind.Data, RecordCount = 1 }, Batch("two"));
        Assert.True(_copy.Bytes.Length < _cluster.Last.Bytes.Length);

        var found = Judge((uint)_copy.Bytes.Length);

        Assert.Equal(FindingKind.Corrupt, found!.Kind);
        Assert.Contains($"is sealed at {_cluster.Last.Bytes.Length}, its records end at {_cluster.Last.Boundaries[1]}", found.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_copy_that_lacks_no_more_than_the_SEAL_proves_nothing()
    {
        Seal(_cluster.Last);

        Assert.Null(Judge((uint)_copy.Bytes.Length));
        Seal(_copy);
        Assert.Null(Judge((uint)_copy.Bytes.Length));
    }

    [Fact]
    public void A_chunk_without_a_primary_is_waited_for_no_longer_than_was_said_and_the_master_says_why()
    {
        _cluster.IsSettled = _ => false;
        _cluster.ExtraDelayOf = r => r is LocateTailRequest ? TimeSpan.FromSeconds(1) : TimeSpan.Zero;
        _cluster.AnswerInstead = (_, r) => r is LocateTailRequest ? new LocateTailReply { Status = Status.Unavailable, Detail = "Start the others." } : null;
        long began = _cluster.World.NowNs;
        CommandException? failure = null;

        _cluster.Run(async _ =>
        {
            var map = new ChunkMap(_cluster, PretendCluster.Master, _cluster.Time, TimeSpan.FromSeconds(5));
            failure = await Assert.ThrowsAsync<CommandException>(() => map.SettleAsync(PretendCluster.Path, _cluster.LocationOf(_cluster.Last), default));
        });

        Assert.Equal(ExitCode.Temporary, failure!.ExitCode);
        Assert.Contains("Start the others.", failure.Message, StringComparison.Ordinal);
        Assert.InRange(_cluster.World.NowNs - began, 4_000_000_000, 7_000_000_000);
    }

    private Finding? Judge(uint committed)
    {
        _cluster.DistortRead = (address, bytes) => address == Elsewhere.Address ? _copy.Bytes : bytes;
        Finding? found = null;
        _cluster.Run(async _ =>
        {
            var map = new ChunkMap(_cluster, PretendCluster.Master, _cluster.Time);
            var copy = new HeldCopy(Elsewhere, PretendCluster.FileId, 0, _copy.Handle.Value, (uint)_copy.Bytes.Length, committed);
            var chunk = _cluster.LocationOf(_cluster.Last);
            found = await new CopyJudge(_cluster, map, new ReplicaReader(_cluster, _cluster.Time))
                .JudgeAsync(PretendCluster.Path, chunk, chunk.SealedLength, chunk.Members[0], copy, default);
        });
        return found;
    }

    private static void Seal(PretendChunk chunk)
    {
        chunk.Append(new FrameHeader { Kind = FrameKind.Seal }, new byte[FrameHeader.SealPayloadLength]);
        chunk.IsSealed = true;
    }

    private static byte[] Batch(string record) => [(byte)record.Length, 0, 0, 0, .. System.Text.Encoding.UTF8.GetBytes(record)];
}
