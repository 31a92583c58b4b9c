using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class WriterTests
{
    [Fact]
    public void Each_registration_of_a_name_is_a_new_epoch_of_the_same_writer() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/a");

        var first = await m.RegisterWriterAsync("/a", "import");
        var second = await m.RegisterWriterAsync("/a", "import");
        await m.RestartAsync();
        await m.JoinAsync("first");
        var third = await m.RegisterWriterAsync("/a", "import");

        Assert.Equal([1u, 2u, 3u], [first.Epoch, second.Epoch, third.Epoch]);
        Assert.NotEqual(0UL, first.Writer);
        Assert.Equal((first.Writer, first.Writer), (second.Writer, third.Writer));
    });

    [Fact]
    public void Names_and_files_have_writers_of_their_own() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/a");
        await m.CreateAsync("/b");

        var one = await m.RegisterWriterAsync("/a", "x");
        var two = await m.RegisterWriterAsync("/a", "y");
        var three = await m.RegisterWriterAsync("/b", "x");

        Assert.Equal(3, new[] { one.Writer, two.Writer, three.Writer }.Distinct().Count());
        Assert.Equal(2u, (await m.StatAsync("/a")).Writers);
    });

    [Fact]
    public void A_name_stands_for_the_writer_that_was_registered() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/a");
        var registered = await m.RegisterWriterAsync("/a", "import");

        var known = await LookUpAsync(m, "import");
        var unknown = await LookUpAsync(m, "export");

        Assert.Equal((Status.Ok, registered.Writer, 1u), (known.Status, known.Writer, known.Epoch));
        Assert.Equal((Status.Ok, 0UL), (unknown.Status, unknown.Writer));
    });

    [Fact]
    public void The_master_says_of_an_id_whether_it_gave_it_away() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/a");
        var passing = await m.CallAsync<RegisterWriterReply>(MessageKind.RegisterWriter, new RegisterWriterRequest { Path = "/a", Name = "random", Ephemeral = true });
        await m.RegisterWriterAsync("/a", "import");
        var known = await m.RegisterWriterAsync("/a", "import");
        await m.CallAsync<RetireWriterReply>(MessageKind.RetireWriter, new RetireWriterRequest { FileId = passing.FileId, Name = "random", Writer = passing.Writer, Epoch = 1 });
        await m.RestartAsync();
        await m.JoinAsync("first");

        var request = new IdentifyWritersRequest { Path = "/a", FileId = passing.FileId };
        request.Writers.AddRange([known.Writer, passing.Writer, known.Writer + 1]);
        var reply = await m.CallAsync<IdentifyWritersReply>(MessageKind.IdentifyWriters, request);
        request.FileId++;
        var other = await m.CallAsync<IdentifyWritersReply>(MessageKind.IdentifyWriters, request);

        Assert.Equal(
            [(known.Writer, IdentifiedAs.WriterRegistered, 2u), (passing.Writer, IdentifiedAs.WriterWithoutName, 0u), (known.Writer + 1, IdentifiedAs.WriterNeverGiven, 0u)],
            reply.Writers.Select(w => (w.Writer, w.Standing, w.Epoch)));
        Assert.Equal(Status.NotFound, other.Status);
    });

    [Fact]
    public void Nobody_resumes_a_writer_that_has_expired() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        await m.CreateAsync("/a");
        var tail = (await m.LocateTailAsync("/a")).Chunk;
        var idle = await m.RegisterWriterAsync("/a", "idle");
        var busy = await m.RegisterWriterAsync("/a", "busy");

        Assert.Equal(Status.Ok, await ExpireAsync(m, tail, tail.Version, idle.Writer, 999));
        Assert.Equal(Status.Ok, await ExpireAsync(m, tail, tail.Version, idle.Writer));
        Assert.Equal(Status.Stale, await ExpireAsync(m, tail, tail.Version + 1, busy.Writer));
        await m.RestartAsync();
        foreach (var server in servers.Take(2))
        {
            await server.RegisterAsync();
            await server.ReportAllAsync();
        }

        Assert.Equal(Status.Expired, (await m.RegisterWriterAsync("/a", "idle")).Status);
        Assert.Equal(Status.Expired, (await LookUpAsync(m, "idle")).Status);
        Assert.Equal(2u, (await m.RegisterWriterAsync("/a", "busy")).Epoch);
        var anew = await m.CallAsync<RegisterWriterReply>(MessageKind.RegisterWriter, new RegisterWriterRequest { Path = "/a", Name = "idle", StartAnew = true });
        Assert.Equal((Status.Ok, 1u), (anew.Status, anew.Epoch));
        Assert.True(anew.Writer > busy.Writer);
    });

    [Fact]
    public void A_passing_writer_leaves_no_name_behind() => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/a");
        var passing = await m.CallAsync<RegisterWriterReply>(MessageKind.RegisterWriter, new RegisterWriterRequest { Path = "/a", Name = "random", Ephemeral = true });
        var staying = await m.RegisterWriterAsync("/a", "import");

        Task<RetireWriterReply> Retire(string name, ulong writer) =>
            m.CallAsync<RetireWriterReply>(MessageKind.RetireWriter, new RetireWriterRequest { FileId = passing.FileId, Name = name, Writer = writer, Epoch = 1 });

        Assert.Equal(Status.NotFound, (await Retire("import", staying.Writer)).Status);
        Assert.Equal(Status.Ok, (await Retire("random", passing.Writer)).Status);
        Assert.Equal(Status.NotFound, (await Retire("random", passing.Writer)).Status);
        await m.RestartAsync();
        await m.JoinAsync("first");
        Assert.Equal(1u, (await m.StatAsync("/a")).Writers);
    });

    private static Task<LookUpWriterReply> LookUpAsync(MasterFixture m, string name) =>
        m.CallAsync<LookUpWriterReply>(MessageKind.LookUpWriter, new LookUpWriterRequest { Path = "/a", Name = name });

    private static async Task<Status> ExpireAsync(MasterFixture m, ChunkLocation chunk, ulong version, params ulong[] writers)
    {
        var request = new ExpireWritersRequest { Handle = chunk.Handle, Version = version, Sender = chunk.Primary.ServerId };
        request.Writers.AddRange(writers);
        return (await m.CallAsync<ExpireWritersReply>(MessageKind.ExpireWriters, request)).Status;
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\nb")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")]
    public void A_name_out_of_its_range_is_refused(string name) => MasterFixture.Run(async m =>
    {
        await m.CreateAsync("/a");

        Assert.Equal(Status.Invalid, (await m.RegisterWriterAsync("/a", name)).Status);
        Assert.Equal(Status.NotFound, (await m.RegisterWriterAsync("/b", "x")).Status);
    });
}
