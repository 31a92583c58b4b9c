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
