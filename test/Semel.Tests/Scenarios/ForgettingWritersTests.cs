using Semel.Client;
using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Simulation.Cluster;

namespace Semel.Tests.Scenarios;

/// <summary>A file knows a bounded number of writers. Forgetting one never lets a record in a second time.</summary>
public sealed class ForgettingWritersTests
{
    private static readonly ClusterShape Small = new() { ChunkCapacity = 64 << 10, MaxWritersPerFile = 3, WriterTimeToLive = TimeSpan.FromSeconds(10), MaxClockOffset = TimeSpan.Zero };

    [Fact]
    public void Any_number_of_writers_without_a_name_may_come_and_go() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");

        for (int i = 0; i < 20; i++)
        {
            var writer = await app.OpenWriter("/log", name: null);
            await writer.Append($"{i}");
            await writer.Close();
        }

        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"{i}"), await s.Records("/log"));
        Assert.Equal(0, (await app.Do(client => client.StatAsync("/log"))).Writers);
        await s.AssertReplicasIdentical("/log");
    }, Small);

    [Fact]
    public void A_file_with_as_many_active_writers_as_it_may_have_refuses_another() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        for (int i = 0; i < 3; i++)
            await app.OpenWriter("/log", $"w{i}");

        var refusal = await Assert.ThrowsAsync<TooManyWritersException>(() => app.OpenWriter("/log", "one too many"));

        Assert.Contains("3 writers", refusal.Message);
    }, Small);

    [Fact]
    public void A_writer_that_was_idle_for_long_gives_its_place_to_a_new_one() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var idle = await app.OpenWriter("/log", "idle");
        await idle.Append("of idle");
        await s.Delay(11_000);
        var busy = await app.OpenWriter("/log", "busy");
        await app.OpenWriter("/log", "w3");

        var late = await app.OpenWriter("/log", "w4");
        await late.Append("of w4");
        await busy.Append("of busy");

        Assert.Equal(["of idle", "of w4", "of busy"], await s.Records("/log"));
        var end = await Assert.ThrowsAnyAsync<SemelException>(() => idle.Append("again"));
        Assert.True(end is WriterExpiredException || end.InnerException is WriterExpiredException, end.ToString());
    }, Small);

    [Theory]
    [InlineData(0)]
    [InlineData(24)]
    [InlineData(56)]
    public void A_writer_gives_its_place_also_where_the_chunk_has_no_room_to_say_so(int left) => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var writers = new List<ScenarioWriter>();
        for (int i = 0; i < 3; i++)
            writers.Add(await app.OpenWriter("/log", $"w{i}"));
        for (int i = 0; i < 5; i++)
            await writers[0].Append(new string('x', 12_000));
        await writers[0].Append(new string('y', 820 - left));      // the chunk, less its reserve for the SEAL, is full but for so many bytes
        long chunks = (await app.Do(client => client.StatAsync("/log"))).Chunks;
        await s.Delay(11_000);

        var late = await app.OpenWriter("/log", "late");
        await late.Append("of late");

        Assert.Equal("of late", (await s.Records("/log")).Last());
        Assert.Equal(chunks + 1, (await app.Do(client => client.StatAsync("/log"))).Chunks);
    }, Small);

    [Fact]
    public void A_forgotten_writer_is_told_and_appends_nothing_twice() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        var before = await app.OpenWriter("/log", "import");
        await before.Append("1");
        await before.Close();
        await s.Delay(11_000);
        for (int i = 0; i < 3; i++)
            await (await app.OpenWriter("/log", $"w{i}")).Append($"of w{i}");

        var refusal = await Assert.ThrowsAsync<WriterExpiredException>(() => app.OpenWriter("/log", "import"));
        s.Cluster.Master.Kill();
        s.Cluster.Master.Start();
        await s.Cluster.AllUpAsync();
        await Assert.ThrowsAsync<WriterExpiredException>(() => app.OpenWriter("/log", "import"));
        await s.Delay(11_000);
        var anew = await app.OpenWriter("/log", "import", o => o.StartAnewIfExpired = true);
        await anew.Append("first of a new life");

        Assert.Contains("'import'", refusal.Message);
        Assert.Equal((1UL, 1u), (anew.LastSequence, anew.Epoch));
        Assert.NotEqual(before.Id, anew.Id);
        Assert.Equal(["1", "of w0", "of w1", "of w2", "first of a new life"], await s.Records("/log"));
    }, Small);

    [Fact]
    public void A_writer_that_comes_back_too_late_is_told_although_it_has_registered() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        await (await app.OpenWriter("/log", "import")).Append("1");
        await s.Delay(11_000);
        for (int i = 0; i < 2; i++)
            await app.OpenWriter("/log", $"w{i}");
        await RegisterAsync(s, "import");       // its INIT is on its way for long

        await app.OpenWriter("/log", "w3");

        await Assert.ThrowsAsync<WriterExpiredException>(() => app.OpenWriter("/log", "import"));
        Assert.Equal(["1"], await s.Records("/log"));
    }, Small);

    [Fact]
    public void An_echo_of_a_forgotten_writer_begins_nothing_anew() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        // Every message comes a second time, long after the writer has been forgotten.
        s.Cluster.Network.Faults = new() { Duplication = 1, DuplicateDelay = TimeSpan.FromSeconds(3) };

        for (int i = 0; i < 5; i++)
        {
            var writer = await app.OpenWriter("/log", name: null);
            await writer.Append($"{i}");
            await writer.Close();
        }
        await s.Delay(5000);

        Assert.Equal(Enumerable.Range(0, 5).Select(i => $"{i}"), await s.Records("/log"));
    }, Small);

    [Fact]
    public void A_writer_that_was_overtaken_before_its_first_word_gets_another_id() => Scenario.Play(async s =>
    {
        var app = s.NewClient();
        await app.Create("/log");
        // Registered, and gone before its INIT; a later one comes and goes.
        await RegisterAsync(s, "late");
        var passing = await app.OpenWriter("/log", name: null);
        await passing.Append("passing");
        await passing.Close();

        var late = await app.OpenWriter("/log", "late");
        await late.Append("late");

        Assert.Equal(["passing", "late"], await s.Records("/log"));
    }, Small);

    /// <summary>The first half of opening a writer.</summary>
    private static async Task RegisterAsync(Scenario s, string name)
    {
        var (process, wire) = s.Cluster.NewClientProcess("registers");
        var reply = await process.Start(async () => await wire.LinkTo(s.Cluster.Master.Address).CallAsync(
            MessageKind.RegisterWriter, new RegisterWriterRequest { Path = "/log", Name = name }, Payload.Empty, TimeSpan.FromSeconds(5)));
        Assert.Equal(Status.Ok, reply.Answer<RegisterWriterReply>().Status);
    }
}
