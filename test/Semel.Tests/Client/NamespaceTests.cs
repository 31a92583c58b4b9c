using Semel.Client;
using Semel.Protocol.Messages;

namespace Semel.Tests.Client;

/// <summary>Names, and how the client deals with a master that says no, not now, or nothing.</summary>
public sealed class NamespaceTests
{
    [Fact]
    public void Creating_passes_on_what_was_asked_and_says_whether_the_file_is_new()
    {
        var cluster = new PretendCluster();
        cluster.AnswerInstead = (_, header) => header is CreateFileRequest { Path: "/a/new" }
            ? new CreateFileReply { Status = Status.Ok, Created = true }
            : new CreateFileReply { Status = Status.Ok };
        cluster.Run(async client =>
        {
            var options = new CreateOptions { Replicas = 2, Durability = FileDurability.Memory, CreateParents = true, OpenIfExists = true };
            Assert.True(await client.CreateAsync("/a/new", options));
            Assert.False(await client.CreateAsync("/a/old"));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => client.CreateAsync("/a", new CreateOptions { Replicas = 9 }));
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => client.CreateAsync("/a", new CreateOptions { Durability = 0 }));
        });
        var first = (CreateFileRequest)cluster.Calls[0].Header;
        Assert.Equal((2U, Durability.Memory, true, true), (first.Replicas, first.Durability, first.Parents, first.OrOpen));
        var second = (CreateFileRequest)cluster.Calls[1].Header;
        Assert.Equal((0U, Durability.Group, false, false), (second.Replicas, second.Durability, second.Parents, second.OrOpen));
    }

    [Theory]
    [InlineData(Status.NotFound, typeof(PathNotFoundException))]
    [InlineData(Status.Conflict, typeof(PathConflictException))]
    [InlineData(Status.NotEmpty, typeof(PathConflictException))]
    [InlineData(Status.Invalid, typeof(InvalidPathException))]
    [InlineData(Status.WrongCluster, typeof(ClusterRefusedException))]
    internal void A_refusal_has_a_type_of_its_own_and_the_masters_words(Status status, Type type)
    {
        var cluster = new PretendCluster { AnswerInstead = (_, _) => new DeleteReply { Status = status, Detail = "words of the master" } };
        cluster.Run(async client =>
        {
            var failure = await Assert.ThrowsAnyAsync<SemelException>(() => client.DeleteAsync("/a"));
            Assert.IsType(type, failure);
            Assert.Contains("words of the master", failure.Message, StringComparison.Ordinal);
            Assert.False(failure.IsRetryable);
            Assert.False(failure.InDoubt);
        });
    }

    [Theory]
    [InlineData("relative")]
    [InlineData("")]
    [InlineData("/a/../b")]
    [InlineData("/a\0b")]
    [InlineData("/a//b")]
    public void A_path_that_breaks_a_rule_is_refused_without_asking(string path)
    {
        var cluster = new PretendCluster();
        cluster.Run(async client =>
        {
            await Assert.ThrowsAsync<InvalidPathException>(() => client.CreateAsync(path));
            await Assert.ThrowsAsync<InvalidPathException>(() => client.StatAsync(path));
            await Assert.ThrowsAsync<InvalidPathException>(() => client.OpenWriterAsync(path));
            Assert.Throws<InvalidPathException>(() => client.ReadRecordsAsync(path));
        });
        Assert.Empty(cluster.Calls);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("localhost:")]
    [InlineData("localhost:0")]
    [InlineData("localhost:65536")]
    [InlineData("http://localhost:7070")]
    [InlineData(":7070")]
    [InlineData("unix:/")]
    public void What_is_no_address_is_refused_with_the_value(string address) =>
        Assert.Contains($"'{address}'", Assert.Throws<ArgumentException>(() => SemelClient.Connect(address)).Message, StringComparison.Ordinal);

    [Fact]
    public async Task A_master_that_is_not_there_is_named_with_what_to_do()
    {
        await using var client = SemelClient.Connect("127.0.0.1:1", new SemelClientOptions { OperationTimeout = TimeSpan.FromMilliseconds(100) });

        var failure = await Assert.ThrowsAsync<ClusterUnavailableException>(() => client.StatAsync("/a"));

        Assert.Contains("No master at 127.0.0.1:1", failure.Message, StringComparison.Ordinal);
        Assert.Contains("semel up", failure.Message, StringComparison.Ordinal);
        Assert.False(failure.InDoubt);
    }

    [Fact]
    public void A_directory_is_listed_page_by_page()
    {
        var cluster = new PretendCluster
        {
            AnswerInstead = (_, header) =>
            {
                int after = ((ListDirectoryRequest)header).After is { Length: > 0 } name ? int.Parse(name) : -1;
                var reply = new ListDirectoryReply { Status = Status.Ok, More = after < 8 };
                for (int i = after + 1; i <= after + 3 && i < 10; i++)
                    reply.Entries.Add(new DirectoryEntry { Name = $"{i}", Directory = i == 0, FileId = (ulong)i, Chunks = 2 });
                return reply;
            },
        };
        cluster.Run(async client =>
        {
            var entries = new List<ListEntry>();
            await foreach (var entry in client.ListAsync("/d"))
                entries.Add(entry);

            Assert.Equal(Enumerable.Range(0, 10).Select(i => $"/d/{i}"), entries.Select(e => e.Path));
            Assert.True(entries[0].IsDirectory);
        });
        Assert.Equal(4, cluster.Calls.Count);
    }

    [Fact]
    public void A_status_is_told_in_full()
    {
        var cluster = new PretendCluster
        {
            AnswerInstead = (_, header) => header switch
            {
                StatRequest => new StatReply
                {
                    Status = Status.Ok,
                    FileId = 3,
                    Replicas = 3,
                    Durability = Durability.Memory,
                    ChunkCapacity = 1 << 20,
                    Chunks = 4,
                    CreatedMs = 1000,
                    Writers = 5,
                    SealedBytes = 6,
                },
                _ => new ClusterStatusReply
                {
                    Status = Status.Ok,
                    ClusterId = "c",
                    Files = 1,
                    Servers = { new ServerStatus { Server = new ServerAddress { ServerId = 255, Address = "a:1" }, Alive = true, SilentMs = 20 } },
                },
            },
        };
        cluster.Run(async client =>
        {
            Assert.Equal(
                new FileStatus
                {
                    Path = "/a",
                    FileId = 3,
                    Replicas = 3,
                    Durability = FileDurability.Memory,
                    ChunkCapacity = 1 << 20,
                    Chunks = 4,
                    Created = DateTimeOffset.UnixEpoch.AddSeconds(1),
                    Writers = 5,
                    SealedBytes = 6,
                },
                await client.StatAsync("/a"));
            var status = await client.GetClusterStatusAsync();
            Assert.Equal(
                new ChunkServerStatus { Id = "00000000000000ff", Address = "a:1", IsAlive = true, Silent = TimeSpan.FromMilliseconds(20) },
                Assert.Single(status.ChunkServers));
            Assert.True(await client.PingAsync() > TimeSpan.Zero);
        });
    }

    [Fact]
    public void A_master_that_is_away_for_a_while_is_waited_for()
    {
        var cluster = new PretendCluster();
        int calls = 0;
        cluster.FateOf = (_, _) => ++calls < 6 ? Fate.RequestLost : Fate.Served;
        cluster.AnswerInstead = (_, _) => new StatReply { Status = calls < 9 ? Status.Unavailable : Status.Ok, Replicas = 3 };
        cluster.Run(async client => Assert.Equal(3, (await client.StatAsync("/a")).Replicas));
        Assert.Equal(9, cluster.Calls.Count);
    }

    [Fact]
    public void A_master_that_stays_away_is_named_when_the_time_is_over()
    {
        var cluster = new PretendCluster { FateOf = (_, _) => Fate.RequestLost };
        cluster.Options.OperationTimeout = TimeSpan.FromSeconds(5);
        cluster.Run(async client =>
        {
            var failure = await Assert.ThrowsAsync<ClusterUnavailableException>(() => client.StatAsync("/a"));
            Assert.Contains(PretendCluster.Master, failure.Message, StringComparison.Ordinal);
            Assert.True(failure.IsRetryable);
            Assert.InRange(cluster.World.Now, TimeSpan.FromSeconds(3.5), TimeSpan.FromSeconds(5.1));
        });
    }

    [Fact]
    public void A_conflict_after_a_lost_answer_is_in_doubt_and_a_deletion_after_one_is_done()
    {
        var cluster = new PretendCluster();
        int calls = 0;
        cluster.FateOf = (_, _) => ++calls % 2 == 1 ? Fate.AnswerLost : Fate.Served;
        cluster.AnswerInstead = (_, header) => header is DeleteRequest
            ? new DeleteReply { Status = calls % 2 == 1 ? Status.Ok : Status.NotFound, Deleted = 1 }
            : new CreateFileReply { Status = calls % 2 == 1 ? Status.Ok : Status.Conflict, Created = true };
        cluster.Run(async client =>
        {
            Assert.True((await Assert.ThrowsAsync<PathConflictException>(() => client.CreateAsync("/a"))).InDoubt);
            Assert.Equal(0, await client.DeleteAsync("/a"));
        });
    }

    [Fact]
    public void Cancelling_ends_an_operation_at_once()
    {
        var cluster = new PretendCluster { FateOf = (_, _) => Fate.Swallowed };
        cluster.Run(async client =>
        {
            using var stop = new CancellationTokenSource();
            var stat = client.StatAsync("/a", stop.Token);
            await cluster.Delay(10);
            stop.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stat);
            Assert.InRange(cluster.World.Now, TimeSpan.Zero, TimeSpan.FromMilliseconds(20));
        });
    }
}
