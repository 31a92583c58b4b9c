using Semel.Cli.Commands.Torture;

namespace Semel.Tests.Cli;

public class FaultPlanTests
{
    private static readonly IReadOnlyList<FaultKind> All = FaultKinds.All;

    [Fact]
    public void A_seed_draws_the_same_faults_each_time_and_another_seed_others()
    {
        var once = Draw(7, 600);
        var again = Draw(7, 600);
        var other = Draw(8, 600);

        Assert.Equal(once, again);
        Assert.NotEqual(once, other);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Ten_minutes_have_more_than_150_faults_and_each_kind_many_times(int seed)
    {
        var plan = FaultPlan.Draw(seed, TimeSpan.FromMinutes(10), All, 5);

        Assert.True(plan.Count > 150, $"{plan.Count} faults");
        Assert.All(All, kind => Assert.True(plan.Count(f => f.Kind == kind) >= 10, $"{plan.Count(f => f.Kind == kind)} times {kind}"));
        Assert.Contains(plan, f => f.Targets.Contains(0));
    }

    [Fact]
    public void At_most_two_chunk_servers_are_down_paused_or_cut_off_at_a_time_unless_all_nodes_are_killed()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            var plan = FaultPlan.Draw(seed, TimeSpan.FromMinutes(5), All, 5).Where(f => f.Kind is FaultKind.Kill or FaultKind.Pause or FaultKind.Partition).ToList();
            foreach (var fault in plan)
            {
                var beside = plan.Where(f => f != fault && f.At <= fault.At && f.At + f.Lasts > fault.At).SelectMany(f => f.Targets).Where(t => t > 0).ToList();
                Assert.DoesNotContain(fault.Targets, beside.Contains);
                Assert.True(fault.Targets.Count == 6 ? beside.Count == 0 : beside.Count + fault.Targets.Count(t => t > 0) <= 2 || beside.Count == 5, $"seed {seed}: {fault}");
            }
        }
    }

    [Fact]
    public void Now_and_then_all_nodes_are_killed_at_once()
    {
        Assert.Contains(Enumerable.Range(0, 10).SelectMany(seed => FaultPlan.Draw(seed, TimeSpan.FromMinutes(10), All, 5)), f => f.Targets.Count == 6);
    }

    [Fact]
    public void Only_the_kinds_that_were_asked_for_are_drawn()
    {
        Assert.All(FaultPlan.Draw(1, TimeSpan.FromMinutes(2), [FaultKind.Pause, FaultKind.Clock], 5), f => Assert.True(f.Kind is FaultKind.Pause or FaultKind.Clock));
    }

    [Fact]
    public void A_cold_start_has_all_nodes_to_itself()
    {
        var processes = new[] { FaultKind.Kill, FaultKind.Pause, FaultKind.Partition, FaultKind.ColdStart, FaultKind.LastBytes };
        for (int seed = 0; seed < 50; seed++)
        {
            var plan = FaultPlan.Draw(seed, TimeSpan.FromMinutes(5), All, 5).Where(f => processes.Contains(f.Kind)).ToList();
            var cold = plan.Where(f => f.Kind is FaultKind.ColdStart).ToList();
            Assert.True(cold.Count > 3);
            foreach (var start in cold)
            {
                Assert.Equal(6, start.Targets.Count);
                Assert.DoesNotContain(plan, f => f != start && f.At < start.At + start.Lasts && f.At + f.Lasts > start.At);
            }
        }
    }

    [Fact]
    public void Nodes_come_back_from_a_cold_start_in_any_order_and_some_without_their_data()
    {
        var starts = Enumerable.Range(0, 200).Select(draw => ColdStart.Draw(draw, 5)).ToList();

        Assert.All(starts, s => Assert.Equal(Enumerable.Range(0, 6), s.Order.Order()));
        Assert.All(starts, s => Assert.All(s.Gaps, g => Assert.InRange(g.TotalSeconds, 0.1, 10)));
        Assert.Equal(6, starts.Select(s => s.Order[0]).Distinct().Count());
        Assert.Contains(starts, s => s is { IsClean: true, Wipes: [] });
        Assert.Contains(starts, s => s is { IsClean: false, Wipes.Count: 5 });
        Assert.Contains(starts, s => s.Gaps.Any(g => g.TotalSeconds > 8));
    }

    [Theory]
    [InlineData("kill", FaultKind.Kill)]
    [InlineData("cold-start", FaultKind.ColdStart)]
    [InlineData("LAST-bytes", FaultKind.LastBytes)]
    [InlineData("coldstart", null)]
    public void A_kind_has_one_name(string name, object? kind) => Assert.Equal(kind, FaultKinds.Find(name));

    private static string[] Draw(int seed, int seconds) => [.. FaultPlan.Draw(seed, TimeSpan.FromSeconds(seconds), All, 5).Select(f => f.ToString())];
}
