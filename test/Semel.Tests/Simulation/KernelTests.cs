using System.Threading.Channels;
using Semel.Protocol;
using Semel.Simulation.Kernel;
using Xunit;

namespace Semel.Tests.Simulation;

public sealed class KernelTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [Fact]
    public void Time_passes_only_when_nothing_else_is_left_to_do()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");
        bool done = false;

        process.Start(async () =>
        {
            await Task.Delay(TimeSpan.FromHours(1), process.Time);
            done = true;
        });

        Assert.True(world.RunUntil(() => done, TimeSpan.FromHours(2), "the delay"), world.Failure);
        Assert.InRange(world.Now, TimeSpan.FromHours(1), TimeSpan.FromHours(1) + TimeSpan.FromSeconds(1));
    }

    [Fact]
    public void The_same_seed_gives_the_same_hash_and_another_seed_another()
    {
        Assert.Equal(HashOf(7), HashOf(7));
        Assert.NotEqual(HashOf(7), HashOf(8));

        static ulong HashOf(ulong seed)
        {
            var world = new SimulatedWorld(seed);
            var process = world.StartProcess("p", new ProcessClock(250, TimeSpan.FromSeconds(-3)));
            int left = 10;
            for (int i = 0; i < 10; i++)
            {
                process.Start(async () =>
                {
                    for (int turn = 0; turn < 20; turn++)
                    {
                        await Task.Yield();
                        await Task.Delay(TimeSpan.FromMicroseconds(process.Random.Next(100)), process.Time);
                        world.Mark("turn", turn);
                    }
                    left--;
                });
            }
            Assert.True(world.RunUntil(() => left == 0, Minute, "all flows"), world.Failure);
            return world.TraceHash;
        }
    }

    [Fact]
    public void A_dead_process_runs_nothing()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");
        int ticks = 0;
        process.Start(async () =>
        {
            while (true)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(1), process.Time);
                ticks++;
            }
        });
        world.After(TimeSpan.FromMilliseconds(10.5), process.Kill);

        Assert.True(world.RunUntil(Elapsed(world, 50), Minute, "time"), world.Failure);

        Assert.InRange(ticks, 9, 10);
    }

    [Fact]
    public void A_paused_process_does_later_what_it_would_have_done()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");
        var rang = TimeSpan.Zero;
        process.Start(async () =>
        {
            await Task.Delay(TimeSpan.FromMilliseconds(5), process.Time);
            rang = world.Now;
        });
        world.After(TimeSpan.FromMilliseconds(1), process.Pause);
        world.After(TimeSpan.FromMilliseconds(80), process.Resume);

        Assert.True(world.RunUntil(Elapsed(world, 100), Minute, "time"), world.Failure);

        Assert.InRange(rang, TimeSpan.FromMilliseconds(80), TimeSpan.FromMilliseconds(81));
    }

    [Fact]
    public void A_clock_that_runs_too_fast_rings_early_and_jumps_when_it_is_set()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p", new ProcessClock(1000, TimeSpan.FromDays(1)));
        var rang = TimeSpan.Zero;
        process.Start(async () =>
        {
            await Task.Delay(TimeSpan.FromSeconds(1000), process.Time);
            rang = world.Now;
        });

        Assert.True(world.RunUntil(() => rang != default, TimeSpan.FromHours(1), "the delay"), world.Failure);
        var before = process.Time.GetUtcNow();
        process.Time.Jump(TimeSpan.FromHours(-2));

        Assert.InRange(rang, TimeSpan.FromSeconds(998.9), TimeSpan.FromSeconds(999.1));
        Assert.Equal(TimeSpan.FromHours(-2), process.Time.GetUtcNow() - before);
    }

    [Fact]
    public void What_nobody_catches_fails_the_run()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");

        process.Start(async () =>
        {
            await Task.Yield();
            throw new InvalidDataException("bad");
        });

        Assert.False(world.RunUntil(() => false, Minute, "nothing"));
        Assert.Contains("bad", world.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void A_broken_invariant_fails_the_run_even_when_it_is_swallowed()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");
        bool done = false;

        process.Start(async () =>
        {
            await Task.Yield();
            try
            {
                Invariant.Holds(process.Number < 0);
            }
            catch (InvariantViolationException)
            {
            }
            done = true;
        });

        Assert.False(world.RunUntil(() => done, Minute, "the flow"));
        Assert.Contains("process.Number < 0", world.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void Code_that_leaves_the_scheduler_is_caught()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");
        using var escaped = new ManualResetEventSlim();
        process.Start(async () => await Task.Run(() =>
        {
            process.Post(_ => { }, null);
            escaped.Set();
        }).ConfigureAwait(false));
        bool ticking = true;
        process.Start(async () =>
        {
            while (ticking)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(1), process.Time);
                if (world.Now > TimeSpan.FromMilliseconds(5))
                    escaped.Wait(TimeSpan.FromSeconds(30));
            }
        });

        Assert.False(world.RunUntil(() => false, Minute, "nothing"));
        Assert.Contains("off thread", world.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_that_makes_no_progress_fails()
    {
        var world = new SimulatedWorld(1);
        var process = world.StartProcess("p");
        var never = Channel.CreateBounded<int>(1);
        process.Start(async () => await never.Reader.ReadAsync());

        Assert.False(world.RunUntil(() => false, Minute, "a message"));
        Assert.Contains("stuck", world.Failure, StringComparison.Ordinal);
    }

    private static Func<bool> Elapsed(SimulatedWorld world, int ms)
    {
        bool over = false;
        world.After(TimeSpan.FromMilliseconds(ms), () => over = true);
        return () => over;
    }
}
