using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

/// <summary>A chunk that cannot go on by itself, and an operator who decides for one of its copies.</summary>
public sealed class RecoverTests
{
    [Fact]
    public void An_operator_is_shown_every_copy_that_there_is() => Stuck(async (m, chunk, dead, left, spare) =>
    {
        var reply = await InspectAsync(m, chunk);

        Assert.Equal((Status.Ok, "/a", chunk.Version, false), (reply.Status, reply.Path, reply.Version, reply.Sealed));
        Assert.Contains("none of its members can go on", reply.Problem, StringComparison.Ordinal);
        var copies = reply.Copies.ToDictionary(c => c.Server.ServerId);
        Assert.Equal((Status.Ok, 500u, 5ul, true, true), (copies[left[0].Id].Status, copies[left[0].Id].Report.Tail, copies[left[0].Id].FileRecords, copies[left[0].Id].Member, copies[left[0].Id].Alive));
        Assert.Equal((Status.Ok, 700u, 7ul), (copies[left[1].Id].Status, copies[left[1].Id].Report.Tail, copies[left[1].Id].FileRecords));
        Assert.Equal((Status.Unavailable, false, true), (copies[dead.Id].Status, copies[dead.Id].Alive, copies[dead.Id].Member));
        Assert.Equal((Status.NotFound, false), (copies[spare.Id].Status, copies[spare.Id].Member));
        Assert.Equal(chunk.Version, m.ChunkOf(chunk).Version);
    });

    [Fact]
    public void An_operator_decides_for_a_copy_and_the_file_goes_on() => Stuck(async (m, chunk, dead, left, spare) =>
    {
        ulong reserved = m.ChunkOf(chunk).Reserved;
        var recovering = RecoverAsync(m, chunk, left[1], chunk.Version);
        await m.UntilAsync(() => left[1].Grants.Any(g => g.OperatorDecided));
        var grant = left[1].Grants.Single(g => g.OperatorDecided);
        var now = new ChunkLocation { Handle = chunk.Handle, Version = grant.Version, Primary = left[1].ToMessage() };
        await ChunkTests.SealAsync(m, now, 700, 1);
        var reply = await recovering;
        await m.RestartAsync();

        Assert.True(grant is { Unclean: true, Seal: true, PromisedTail: 700 } && grant.Version > reserved, grant.ToString());
        Assert.Equal(left[1].Id, Assert.Single(grant.Members).ServerId);
        Assert.Equal((Status.Ok, grant.Version, true, 700u), (reply.Status, reply.Version, reply.Sealed, reply.Length));
        Assert.True(m.ChunkOf(chunk).IsSealed);
        Assert.Equal([left[1].Id], m.ChunkOf(chunk).Members);
    });

    [Theory]
    [InlineData(700u, 500u, true)]      // longer than what the operator chose: perhaps all that is left of acknowledged records
    [InlineData(500u, 700u, false)]
    public void What_he_gives_up_is_kept_where_it_is_longer_also_if_nobody_knows_it_to_be_committed(uint givenUp, uint chosen, bool isKept) => Stuck(async (m, chunk, dead, left, spare) =>
    {
        var (holder, taken) = givenUp == 500 ? (left[0], left[1]) : (left[1], left[0]);
        var recovering = RecoverAsync(m, chunk, taken, chunk.Version);
        await m.UntilAsync(() => taken.Grants.Any(g => g.OperatorDecided));
        ulong version = taken.Grants.Single(g => g.OperatorDecided).Version;
        await ChunkTests.SealAsync(m, new ChunkLocation { Handle = chunk.Handle, Version = version, Primary = taken.ToMessage() }, chosen + Seal, 1);
        await recovering;
        var third = await m.JoinAsync("third");
        var whole = new ChunkReport { Handle = chunk.Handle, Tail = chosen + Seal, Committed = chosen + Seal, Sealed = true, EndsInSeal = true, LastView = Ballot.OfVersion(version).Value };

        await holder.TellAsync(new ChunkReport { Handle = chunk.Handle, Tail = givenUp, LastView = Ballot.OfVersion(1).Value });
        foreach (var server in (PlayedServer[])[taken, spare, third])
            await server.TellAsync(whole);
        await m.PassAsync(TimeSpan.FromSeconds(20));

        Assert.Equal(isKept, holder.About(chunk).All(c => c.DeleteChunk is null && c.CloneChunk is null));
    });

    [Fact]
    public void Also_for_that_of_a_server_that_was_left_out_and_above_all_that_it_has_promised() => Stuck(async (m, chunk, dead, left, spare) =>
    {
        spare.OnPromise = r => r.Version > 40
            ? PlayedServer.Promised(1, 300)(r)
            : new PromiseReply { Status = Status.Stale, Promised = Ballot.OfVersion(40).Value };

        var recovering = RecoverAsync(m, chunk, spare, chunk.Version);
        await m.UntilAsync(() => spare.Grants.Any(g => g.OperatorDecided));
        await ChunkTests.SealAsync(m, new ChunkLocation { Handle = chunk.Handle, Version = 41, Primary = spare.ToMessage() }, 300, 1);

        Assert.Equal((Status.Ok, 41UL), ((await recovering).Status, m.ChunkOf(chunk).Version));
        Assert.Equal([spare.Id], m.ChunkOf(chunk).Members);
    });

    [Fact]
    public void There_is_nothing_to_decide_where_a_chunk_goes_on_by_itself_or_has_ended() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;

        var healthy = await RecoverAsync(m, chunk, servers[0], chunk.Version);
        foreach (var server in servers)
            server.OnCreate = _ => null;
        await ChunkTests.SealAsync(m, chunk, 4096, 1);
        var ended = await RecoverAsync(m, chunk, servers[0], chunk.Version);
        var nobody = await m.CallAsync<RecoverChunkReply>(MessageKind.RecoverChunk, new RecoverChunkRequest { Handle = chunk.Handle, ServerId = 4711, Version = 1 });
        var nothing = await m.CallAsync<InspectCopiesReply>(MessageKind.InspectCopies, new InspectCopiesRequest { Handle = 4711 });

        Assert.Equal([Status.Conflict, Status.Conflict, Status.NotFound, Status.NotFound], [healthy.Status, ended.Status, nobody.Status, nothing.Status]);
        Assert.Contains("has a primary", healthy.Detail, StringComparison.Ordinal);
        Assert.Contains("sealed at 4096", ended.Detail, StringComparison.Ordinal);
    });

    [Fact]
    public void A_decision_for_another_version_or_for_a_server_that_gives_nothing_changes_nothing() => Stuck(async (m, chunk, dead, left, spare) =>
    {
        var stale = await RecoverAsync(m, chunk, left[1], chunk.Version + 1);
        spare.OnPromise = _ => new PromiseReply { Status = Status.NotFound, Detail = "There is no such chunk on this server." };
        var none = await RecoverAsync(m, chunk, spare, chunk.Version);
        var silent = await RecoverAsync(m, chunk, dead, chunk.Version);

        Assert.Equal([Status.Stale, Status.Unavailable, Status.Unavailable], [stale.Status, none.Status, silent.Status]);
        Assert.Contains("no such chunk", none.Detail, StringComparison.Ordinal);
        Assert.Equal((1UL, 3), (m.ChunkOf(chunk).Version, m.ChunkOf(chunk).Members.Length));
    });

    private static readonly uint Seal = FrameHeader.LengthOfFrame(FrameHeader.SealPayloadLength);

    private static Task<InspectCopiesReply> InspectAsync(MasterFixture m, ChunkLocation chunk) =>
        m.CallAsync<InspectCopiesReply>(MessageKind.InspectCopies, new InspectCopiesRequest { Handle = chunk.Handle });

    private static Task<RecoverChunkReply> RecoverAsync(MasterFixture m, ChunkLocation chunk, PlayedServer server, ulong version) =>
        m.CallAsync<RecoverChunkReply>(MessageKind.RecoverChunk, new RecoverChunkRequest { Handle = chunk.Handle, ServerId = server.Id, Version = version });

    /// <summary>One member is dead, the others have lost something: 500 and 700 bytes are left. A fourth server has nothing.</summary>
    private static void Stuck(Func<MasterFixture, ChunkLocation, PlayedServer, PlayedServer[], PlayedServer, Task> script) => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        await m.CreateAsync("/a");
        var chunk = (await m.LocateTailAsync("/a")).Chunk;
        await m.PassAsync(TimeSpan.FromSeconds(1));
        var members = servers.Where(s => chunk.Members.Any(member => member.ServerId == s.Id)).ToArray();
        var dead = members.Single(s => s.Id == chunk.Primary.ServerId);
        var left = members.Where(s => s != dead).ToArray();
        foreach (var (server, tail) in left.Zip([500u, 700u]))
        {
            server.OnPromise = PlayedServer.Promised(1, tail, damaged: true);
            server.OnInspect = r => new InspectChunkReply { Status = Status.Ok, Report = new ChunkReport { Handle = r.Handle, Tail = tail, Damaged = true }, FileRecords = tail / 100 };
        }
        foreach (var server in servers)
            server.OnCreate = _ => null;
        dead.Die();
        await m.LocateTailAsync("/a", suspect: chunk);
        await script(m, chunk, dead, left, servers.Except(members).Single());
    });
}
