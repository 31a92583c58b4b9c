using System.Diagnostics;
using Semel.Simulation.Runs;
using Xunit;

namespace Semel.Tests.Simulation;

public sealed class RandomRunTests
{
    /// <summary>Seeds that failed once. What they mean changes with the code, so they are a sample like any other, but a well-chosen one.</summary>
    public static TheoryData<ulong> Regressions => [11, 82, 100, 1003, 1100, 1129, 1295, 5021, 10244, 10567, 10852, 22230, 42932, 110002, 117177, 208010, 213942, 215692, 222171, 500219, 500540, 502429, 502602, 502796,
        602083, 602663, 800281, 800930, 809000, 814324, 823484, 1006192, 1101972, 1222161, 1223634, 610725, 610737, 611992,
        300008, 300093, 300335, 300620, 302380, 303468, 305335, 305953, 306555, 308039, 309840];

    private static readonly string[] Expected =
    [
        "death in the middle of a step", "fenced", "left out a member that was well", "roll-over",
        "event 1301 ViewChangeBegan", "event 1305 MemberAccused", "event 1405 CloneOrdered",
        "event 2102 BecameActive", "event 2103 SteppedDown", "event 2105 MemberAccused", "event 2201 ReplicaDeleted", "event 2202 ReplicaCloned",
    ];

    [Theory]
    [MemberData(nameof(Regressions))]
    public void Seeds_that_failed_once_stay_good(ulong seed) => AssertGood(RandomRun.Run(seed));

    [Fact]
    public void Random_faults_lose_duplicate_and_reorder_nothing()
    {
        var reached = new SortedSet<string>(StringComparer.Ordinal);
        for (ulong seed = 5000; seed < 5100; seed++)
        {
            var result = RandomRun.Run(seed);
            AssertGood(result);
            reached.UnionWith(result.Coverage.Keys);
        }

        // A suite that never meets a case proves nothing about it.
        Assert.Superset(new SortedSet<string>(Expected, StringComparer.Ordinal), reached);
    }

    [Fact]
    public void A_seed_gives_the_same_run_again_bit_for_bit()
    {
        for (ulong seed = 300; seed < 310; seed++)
            Assert.Equal(RandomRun.Run(seed).TraceHash, RandomRun.Run(seed, TextWriter.Null).TraceHash);
    }

    [Fact]
    public async Task A_seed_gives_the_same_run_in_another_process()
    {
        string here = AppContext.BaseDirectory;
        int project = here.LastIndexOf("Semel.Tests", StringComparison.Ordinal);
        string program = Path.Combine(here[..project], "Semel.Simulation" + here[(project + "Semel.Tests".Length)..], "Semel.Simulation.dll");
        var start = new ProcessStartInfo("dotnet", [program, "--seed", "400", "--runs", "5", "--hashes"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_TieredCompilation"] = "0";
        using var process = Process.Start(start)!;
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();

        for (ulong seed = 400; seed < 405; seed++)
            Assert.Contains($"seed {seed} hash {RandomRun.Run(seed).TraceHash:x16}", output, StringComparison.Ordinal);
    }

    private static void AssertGood(RunResult result) =>
        Assert.True(result.Failure is null, $"{result.Failure}\nreplay: eng/simulate.sh --seed {result.Seed} --runs 1 --trace simulation.log");
}
