using Semel.Master.Chunks;
using Semel.Master.Garbage;
using Semel.Master.Namespace;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class ReplicaJudgeTests
{
    private const ulong Member = 1;
    private const ulong Other = 9;
    private const uint SealedAt = 4096;
    private const uint SealLength = 96;
    private const ulong Making = 777;
    private const ulong SealBallot = 1UL << 24;

    [Fact]
    public void A_replica_of_an_unknown_chunk_is_garbage_only_if_the_log_once_had_it_or_it_was_never_used()
    {
        var used = new ChunkReport { Handle = 99, LastView = 1, Tail = 64 };
        var unused = new ChunkReport { Handle = 99 };

        Assert.Equal(ReplicaVerdict.Garbage, Judge(null, Other, used, wasAdded: true));
        Assert.Equal(ReplicaVerdict.FromTheFuture, Judge(null, Other, used, mayBeLeftover: true));
        Assert.Equal(ReplicaVerdict.FromTheFuture, Judge(null, Other, used));
        Assert.Equal(ReplicaVerdict.Garbage, Judge(null, Other, unused, mayBeLeftover: true));
        Assert.Equal(ReplicaVerdict.FromTheFuture, Judge(null, Other, unused));
        Assert.Equal(ReplicaVerdict.InUse, Judge(null, Other, unused, isBeingMade: true));
        Assert.Equal(ReplicaVerdict.InUse, Judge(null, Other, new ChunkReport { Handle = 99, Gone = true }));
    }

    [Fact]
    public void A_replica_of_another_making_is_foreign_and_one_that_does_not_know_its_making_is_not()
    {
        Assert.Equal(ReplicaVerdict.Foreign, Judge(Open(), Member, new ChunkReport { Handle = 5, CreationId = Making + 1 }));
        Assert.Equal(ReplicaVerdict.Foreign, Judge(Sealed(), Other, new ChunkReport { Handle = 5, CreationId = Making + 1, Sealed = true, Tail = SealedAt, LastView = 1 }));
        Assert.Equal(ReplicaVerdict.InUse, Judge(Open(), Member, new ChunkReport { Handle = 5, CreationId = Making }));
        Assert.Equal(ReplicaVerdict.InUse, Judge(Open(), Member, new ChunkReport { Handle = 5 }));
    }

    [Fact]
    public void A_member_of_an_open_chunk_is_needed()
    {
        Assert.Equal(ReplicaVerdict.InUse, Judge(Open(), Member, Report(view: 1)));
        Assert.Equal(ReplicaVerdict.InUse, Judge(Open(), Member, Report(view: 0)));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Open(), Member, new ChunkReport { Handle = 5, Gone = true }));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Open(), Member, Report(view: 1, damaged: true)));
    }

    [Fact]
    public void Who_was_left_out_is_outdated_and_who_never_took_part_was_never_used()
    {
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Open(), Other, Report(view: 1)));
        Assert.Equal(ReplicaVerdict.NeverUsed, Judge(Open(), Other, Report(view: 0)));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(), Other, Report(view: 1, tail: 100)));
        Assert.Equal(ReplicaVerdict.InUse, Judge(Open(), Other, new ChunkReport { Handle = 5, Gone = true }));
    }

    [Fact]
    public void A_committed_seal_at_the_right_length_makes_a_good_replica_of_anybodys()
    {
        Assert.Equal(ReplicaVerdict.Good, Judge(Sealed(), Member, Report(view: 1, tail: SealedAt, isSealed: true)));
        Assert.Equal(ReplicaVerdict.Good, Judge(Sealed(), Other, Report(view: 1, tail: SealedAt, isSealed: true)));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(), Other, Report(view: 1, tail: SealedAt - 64, isSealed: true)));
    }

    [Fact]
    public void A_members_report_that_is_older_than_the_seal_costs_it_nothing()
    {
        Assert.Equal(ReplicaVerdict.Unconfirmed, Judge(Sealed(), Member, Report(view: 1, tail: 64)));
        Assert.Equal(ReplicaVerdict.Unconfirmed, Judge(Sealed(), Member, Report(view: 1, tail: SealedAt)));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Sealed(), Member, Report(view: 1, tail: SealedAt, isSealed: true, damaged: true)));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Sealed(), Member, new ChunkReport { Handle = 5, Gone = true }));
    }

    [Fact]
    public void A_former_member_whose_log_ends_in_the_same_SEAL_is_a_copy_that_does_not_know_it()
    {
        var same = Report(view: 1, tail: SealedAt);
        (same.EndsInSeal, same.SealBallot) = (true, SealBallot);
        var other = same.Clone();
        other.SealBallot++;
        var shorter = same.Clone();
        shorter.Tail -= 64;
        var damaged = same.Clone();
        damaged.Damaged = true;

        Assert.Equal(ReplicaVerdict.Unconfirmed, Judge(Sealed(), Other, same));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(), Other, other));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(), Other, shorter));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Sealed(), Other, damaged));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(ballot: 0), Other, same));
    }

    [Fact]
    public void Who_knows_more_to_be_committed_than_the_sealed_chunk_has_proves_a_loss()
    {
        var more = Report(view: 1, tail: SealedAt + 640);
        more.Committed = SealedAt + 64;
        var once = Report(view: 1, tail: 64, damaged: true);
        once.OnceCommitted = SealedAt + 64;
        var anothers = once.Clone();
        anothers.Tail = 0;
        var longer = Report(view: 1, tail: SealedAt + 640);
        longer.Committed = SealedAt - SealLength;

        Assert.Equal(ReplicaVerdict.ProvesLoss, Judge(Sealed(), Other, more));
        Assert.Equal(ReplicaVerdict.ProvesLoss, Judge(Sealed(), Member, more));
        Assert.Equal(ReplicaVerdict.ProvesLoss, Judge(Sealed(), Other, once));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Sealed(), Other, anothers));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(), Other, longer));
        Assert.Equal(ReplicaVerdict.InUse, Judge(Open(), Member, more));
    }

    [Fact]
    public void A_committed_record_in_the_place_of_the_SEAL_proves_a_loss_too()
    {
        var within = Report(view: 1, tail: SealedAt - 16);
        within.Committed = SealedAt - 16;
        var asLong = Report(view: 1, tail: SealedAt);
        asLong.Committed = SealedAt;
        var before = Report(view: 1, tail: SealedAt - SealLength);
        before.Committed = SealedAt - SealLength;
        var rotted = Report(view: 1, tail: 64, damaged: true);
        rotted.OnceCommitted = SealedAt;

        Assert.Equal(ReplicaVerdict.ProvesLoss, Judge(Sealed(), Other, within));
        Assert.Equal(ReplicaVerdict.ProvesLoss, Judge(Sealed(), Other, asLong));
        Assert.Equal(ReplicaVerdict.Outdated, Judge(Sealed(), Other, before));
        Assert.Equal(ReplicaVerdict.Lost, Judge(Sealed(), Other, rotted));
    }

    private static ReplicaVerdict Judge(Chunk? chunk, ulong server, ChunkReport report, bool isBeingMade = false, bool wasAdded = false, bool mayBeLeftover = false) =>
        ReplicaJudge.Judge(chunk, isBeingMade, wasAdded, mayBeLeftover, new ServerId(server), report);

    private static Chunk Open() => new(
        new ChunkHandle(5), new FileNode("f", null, 0, new FileId(1), default), 0, ServerSet.Of([new ServerId(Member), new ServerId(2)]), new ServerId(Member), Making);

    private static Chunk Sealed(ulong ballot = SealBallot)
    {
        var chunk = Open();
        chunk.Seal(1, SealedAt, ballot);
        return chunk;
    }

    private static ChunkReport Report(ulong view, uint tail = 0, bool isSealed = false, bool damaged = false) => new()
    {
        Handle = 5,
        LastView = Ballot.OfVersion(view).Value,
        Promised = Ballot.OfVersion(view).Value,
        Tail = tail,
        Sealed = isSealed,
        Damaged = damaged,
    };
}
