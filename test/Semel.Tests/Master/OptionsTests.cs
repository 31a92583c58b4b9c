using System.ComponentModel.DataAnnotations;
using Semel.Master;

namespace Semel.Tests.Master;

public sealed class OptionsTests
{
    [Fact]
    public void The_defaults_are_valid() => new MasterOptions().Validate();

    [Fact]
    public void A_setting_out_of_range_is_named()
    {
        Assert.Contains("Replicas", Assert.Throws<ValidationException>(new MasterOptions { Replicas = 9 }.Validate).Message);
        Assert.Contains("ChunkCapacity", Assert.Throws<ValidationException>(new MasterOptions { ChunkCapacity = 1000 }.Validate).Message);
        Assert.Contains("MinMembers is 4", Assert.Throws<ValidationException>(new MasterOptions { MinMembers = 4 }.Validate).Message);
        Assert.Contains("DeadAfter", Assert.Throws<ValidationException>(new MasterOptions { HeartbeatInterval = TimeSpan.FromSeconds(2) }.Validate).Message);
    }
}
