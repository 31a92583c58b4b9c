using Semel.Protocol.Buffers;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Disk;
using Semel.Storage.DataDirectories;

namespace Semel.Tests.Master;

public sealed class OperationLogTests
{
    [Fact]
    public void Replaying_the_log_gives_the_same_state() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(4);
        for (int i = 0; i < 20; i++)
        {
            string path = $"/d{i % 3}/f{i}";
            await m.CreateAsync(path, parents: true, replicas: (uint)(1 + (i % 3)));
            var tail = (await m.LocateTailAsync(path)).Chunk;
            await m.RegisterWriterAsync(path, $"w{i}");
            if (i % 2 == 0)
            {
                await m.CallAsync<SealedReply>(MessageKind.Sealed, new SealedRequest
                {
                    Handle = tail.Handle,
                    Version = tail.Version,
                    Sender = tail.Primary.ServerId,
                    Length = 4096,
                    BaseDigest = (uint)i,
                });
            }
            else if (i % 3 == 0)
                await m.LocateTailAsync(path, suspect: tail);
        }
        await m.DeleteAsync("/d1", recursive: true);
        await m.PassAsync(TimeSpan.FromSeconds(1));
        string before = m.State.Dump();

        await m.RestartAsync();

        // All but the first line, which tells of the epoch.
        Assert.Equal(before[before.IndexOf('\n', StringComparison.Ordinal)..], m.State.Dump()[m.State.Dump().IndexOf('\n', StringComparison.Ordinal)..]);
        Assert.NotEmpty(servers);
    });

    [Fact]
    public void A_reply_waits_until_the_log_is_durable() => MasterFixture.Run(async m =>
    {
        m.Disk.Faults = new DiskFaults { MinFlush = TimeSpan.FromMilliseconds(300), MaxFlush = TimeSpan.FromMilliseconds(301) };

        long began = m.World.NowNs;
        await m.CreateAsync("/a");

        Assert.True(m.World.NowNs - began > 300_000_000);
    });

    [Fact]
    public void A_reply_never_shows_what_a_crash_could_take_back() => MasterFixture.Run(async m =>
    {
        m.Disk.Faults = new DiskFaults { MinFlush = TimeSpan.FromMilliseconds(300), MaxFlush = TimeSpan.FromMilliseconds(301) };

        var created = m.CreateAsync("/a");
        await m.PassAsync(TimeSpan.FromMilliseconds(5));
        long began = m.World.NowNs;
        var stat = await m.StatAsync("/a");

        Assert.Equal(Status.Ok, stat.Status);
        Assert.True(m.World.NowNs - began > 250_000_000);
        await created;
    });

    [Fact]
    public void Many_calls_share_a_flush() => MasterFixture.Run(async m =>
    {
        m.Disk.Faults = new DiskFaults { MinFlush = TimeSpan.FromMilliseconds(10), MaxFlush = TimeSpan.FromMilliseconds(11) };
        long before = m.Disk.Flushes;

        await Task.WhenAll(Enumerable.Range(0, 200).Select(i => m.CreateAsync($"/f{i}")));

        Assert.InRange(m.Disk.Flushes - before, 1, 10);
    });

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void What_was_acknowledged_survives_a_loss_of_power(int seed) => MasterFixture.Run(async m =>
    {
        var acknowledged = new List<string>();
        var all = Enumerable.Range(0, 100).Select(async i =>
        {
            await m.PassAsync(TimeSpan.FromMilliseconds(i / 10.0));
            var result = await m.Wire.LinkTo(MasterFixture.Address).CallAsync(MessageKind.CreateFile, new CreateFileRequest { Path = $"/f{i}" }, Payload.Empty, TimeSpan.FromSeconds(1));
            if (result.IsAnswered && result.Answer<CreateFileReply>().Status == Status.Ok)
                acknowledged.Add($"/f{i}");
        }).ToList();
        await m.PassAsync(TimeSpan.FromMilliseconds(6));
        await m.RestartAsync();
        await m.JoinAsync("first");
        await Task.WhenAll(all);

        foreach (string path in acknowledged)
            Assert.Equal(Status.Ok, (await m.StatAsync(path)).Status);
        Assert.NotEmpty(acknowledged);
    }, (ulong)seed);

    [Fact]
    public void A_master_whose_log_fails_stops_and_answers_nothing() => MasterFixture.Run(async m =>
    {
        m.Disk.FailFlush = _ => true;

        var result = await m.Wire.LinkTo(MasterFixture.Address).CallAsync(MessageKind.CreateFile, new CreateFileRequest { Path = "/a" }, Payload.Empty, TimeSpan.FromSeconds(2));
        await m.UntilAsync(() => m.Node.Completion.IsCompleted);

        Assert.False(result.IsAnswered);
        Assert.IsAssignableFrom<IOException>(m.Node.Completion.Exception!.InnerException);
        m.Disk.FailFlush = null;
        await m.RestartAsync();
        await m.JoinAsync("first");
        Assert.Equal(Status.Ok, (await m.CreateAsync("/b")).Status);
    });

    [Fact]
    public void A_start_begins_a_new_epoch_of_the_same_cluster() => MasterFixture.Run(async m =>
    {
        string cluster = m.Node.ClusterId;

        await m.RestartAsync(losePower: false);
        var status = await m.StatusAsync();

        Assert.Matches("^[0-9a-f]{32}$", cluster);
        Assert.Equal((cluster, 2UL), (status.ClusterId, status.MasterEpoch));
    });

    [Fact]
    public void A_directory_without_its_log_is_not_taken_for_a_new_cluster() => MasterFixture.Run(async m =>
    {
        await m.Node.DisposeAsync();
        var disk = m.Disk.OpenFor(m.World.StartProcess("operator"));
        foreach (string file in disk.ListFiles("log"))
            disk.Delete("log/" + file);

        var refused = await Assert.ThrowsAsync<DataDirectoryException>(() => m.RestartAsync(losePower: false));

        Assert.Contains("operation log is empty or gone", refused.Message);
    });

    [Fact]
    public void A_handle_is_never_given_away_twice() => MasterFixture.Run(async m =>
    {
        var servers = await m.JoinAsync(3);
        var handles = new List<ulong>();
        for (int i = 0; i < 5; i++)
        {
            await m.CreateAsync($"/f{i}", replicas: 1);
            var reply = await m.LocateTailAsync($"/f{i}");
            Assert.Equal((Status.Ok, reply.Detail), (reply.Status, ""));
            handles.Add(reply.Chunk.Handle);
            await m.RestartAsync();
            foreach (var server in servers)
            {
                await server.RegisterAsync();
                await server.ReportAllAsync();
            }
        }

        Assert.Equal(handles.Count, handles.Distinct().Count());
        Assert.Equal(handles.Order(), handles);
    });
}
