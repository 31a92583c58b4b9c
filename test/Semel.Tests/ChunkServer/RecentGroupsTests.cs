using Semel.ChunkServer.Appending;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Xunit;

namespace Semel.Tests.ChunkServer;

public sealed class RecentGroupsTests
{
    private readonly RecentGroups _groups = new();

    [Fact]
    public void A_group_is_shared_by_the_offset_where_it_begins_until_every_secondary_holds_it()
    {
        uint[] ends = [Add(0, 100), Add(128, 200), Add(360, 50)];

        Assert.True(_groups.TryShare(128, out var frames));
        Assert.Equal(ends[1] - 128, (uint)frames.Length);
        Assert.False(_groups.TryShare(129, out _));
        Assert.False(_groups.TryShare(ends[2], out _));

        _groups.DropBelow(ends[1] - 1);
        Assert.False(_groups.TryShare(0, out _));
        Assert.True(_groups.TryShare(128, out var again));

        _groups.DropBelow(ends[1]);
        Assert.False(_groups.TryShare(128, out _));
        Assert.Equal(new byte[200], frames.Span[FrameHeader.Size..][..200].ToArray());     // the references that were given out hold
        again.Release();
        frames.Release();
    }

    [Fact]
    public void What_is_shared_carries_its_checksum_also_when_the_group_has_grown_or_is_used_again()
    {
        var group = new FrameGroup();
        for (int round = 0; round < 2; round++)
        {
            for (uint at = 0; at < 3; at++)
            {
                group.Add(new FrameHeader { Kind = FrameKind.Data, PayloadLength = 8, Offset = group.End }, new byte[8]);
                var shared = group.Share();
                Assert.Equal(Crc32C.Compute(shared.Span), shared.KnownCrc);
                shared.Release();
            }
            group.Clear();
        }
    }

    [Fact]
    public void Only_the_last_few_are_kept_however_far_a_secondary_is_behind()
    {
        var starts = new List<uint>();
        for (uint at = 0; starts.Count < 100;)
        {
            starts.Add(at);
            at = Add(at, 8);
        }

        int kept = 0;
        foreach (uint start in starts)
        {
            if (!_groups.TryShare(start, out var frames))
                continue;
            kept++;
            frames.Release();
        }
        Assert.InRange(kept, 2, 16);
        Assert.True(_groups.TryShare(starts[^1], out var last));
        last.Release();
    }

    private uint Add(uint start, int payloadLength)
    {
        var group = _groups.Next();
        Assert.True(group.IsEmpty);
        group.Add(new FrameHeader { Kind = FrameKind.Data, RecordCount = 1, Offset = start, PayloadLength = (uint)payloadLength }, new byte[payloadLength]);
        _groups.Add(group);
        return group.End;
    }
}
