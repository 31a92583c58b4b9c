using Semel.Protocol.Messages;

namespace Semel.Tests.Master;

public sealed class RegistrationTests
{
    [Fact]
    public void A_new_server_gets_an_identity_that_it_keeps() => MasterFixture.Run(async m =>
    {
        var server = new PlayedServer(m, "cs");

        var first = await server.RegisterAsync();
        await m.RestartAsync();
        var second = await server.RegisterAsync();

        Assert.NotEqual(0UL, first.ServerId);
        Assert.Equal((m.Node.ClusterId, first.ServerId, 2UL), (second.ClusterId, second.ServerId, second.MasterEpoch));
        Assert.Equal(1000u, second.HeartbeatMs);
    });

    [Fact]
    public void A_repeated_first_registration_gets_the_same_identity() => MasterFixture.Run(async m =>
    {
        var server = new PlayedServer(m, "cs");
        var request = server.Registration();

        var first = await m.CallAsync<RegisterServerReply>(MessageKind.RegisterServer, request);
        var second = await m.CallAsync<RegisterServerReply>(MessageKind.RegisterServer, request);

        Assert.Equal(first.ServerId, second.ServerId);
        Assert.Single((await m.StatusAsync()).Servers);
    });

    [Fact]
    public void A_server_of_another_cluster_is_refused_and_told_both_names() => MasterFixture.Run(async m =>
    {
        var server = new PlayedServer(m, "cs") { ClusterId = "someoneelse", Id = 5 };

        var reply = await server.RegisterAsync();

        Assert.Equal(Status.WrongCluster, reply.Status);
        Assert.Contains("someoneelse", reply.Detail);
        Assert.Contains(m.Node.ClusterId, reply.Detail);
        Assert.Empty((await m.StatusAsync()).Servers);
    });

    [Fact]
    public void A_copied_data_directory_is_refused_while_the_original_lives() => MasterFixture.Run(async m =>
    {
        var original = await m.JoinAsync("cs");
        var copy = new PlayedServer(m, "copy") { Id = original.Id, ClusterId = original.ClusterId };

        var refused = await copy.RegisterAsync();
        original.Die();
        await m.PassAsync(TimeSpan.FromSeconds(5));
        var taken = await copy.RegisterAsync();

        Assert.Equal(Status.Conflict, refused.Status);
        Assert.Contains("cs:7071", refused.Detail);
        Assert.Equal(Status.Ok, taken.Status);
        Assert.Equal("copy:7071", Assert.Single((await m.StatusAsync()).Servers).Server.Address);
    });

    [Fact]
    public void A_heartbeat_of_an_incarnation_that_did_not_register_is_stale() => MasterFixture.Run(async m =>
    {
        var server = await m.JoinAsync("cs");
        server.StopBeating();
        await m.PassAsync(TimeSpan.FromSeconds(2));

        await m.RestartAsync();

        Assert.Equal(Status.Stale, (await server.BeatAsync()).Status);
    });

    [Fact]
    public void A_full_report_with_a_page_missing_must_be_given_again() => MasterFixture.Run(async m =>
    {
        var server = new PlayedServer(m, "cs");
        await server.RegisterAsync();
        Assert.Equal(Status.Ok, (await server.BeatAsync()).Status);

        var lost = new HeartbeatRequest { ServerId = server.Id, Incarnation = server.Incarnation, Sequence = 3, ReportComplete = true };

        Assert.Equal(Status.Stale, (await m.CallAsync<HeartbeatReply>(MessageKind.Heartbeat, lost)).Status);
        Assert.True((await m.StatusAsync()).Recovering);
    });

    [Fact]
    public void A_late_registration_of_a_former_incarnation_changes_nothing() => MasterFixture.Run(async m =>
    {
        var first = await m.JoinAsync("cs");
        var late = first.Registration();
        first.Die();
        var second = first.StartAnew();
        await second.RegisterAsync();
        await second.BeatAsync();

        var refused = await m.CallAsync<RegisterServerReply>(MessageKind.RegisterServer, late);

        Assert.Equal(Status.Stale, refused.Status);
        Assert.Equal(Status.Ok, (await second.BeatAsync(complete: true)).Status);
    });

    [Fact]
    public void A_late_registration_that_a_restarted_master_believed_does_not_lock_the_real_server_out() => MasterFixture.Run(async m =>
    {
        var first = await m.JoinAsync("cs");
        var late = first.Registration();
        first.Die();
        var second = first.StartAnew();
        await m.RestartAsync();
        await second.RegisterAsync();

        await m.CallAsync<RegisterServerReply>(MessageKind.RegisterServer, late);

        Assert.Equal(Status.Stale, (await second.BeatAsync()).Status);
        Assert.Equal(Status.Ok, (await second.RegisterAsync()).Status);
        Assert.Equal(Status.Ok, (await second.BeatAsync(complete: true)).Status);
    });

    [Fact]
    public void A_silent_server_counts_as_dead_until_it_is_heard_again() => MasterFixture.Run(async m =>
    {
        var server = await m.JoinAsync("cs");
        server.StopBeating();
        await m.PassAsync(TimeSpan.FromSeconds(6));
        bool aliveInSilence = (await m.StatusAsync()).Servers[0].Alive;

        await server.BeatAsync();

        Assert.False(aliveInSilence);
        Assert.True((await m.StatusAsync()).Servers[0].Alive);
    });
}
