using System.Diagnostics;
using Semel.Simulation.Runs;
using Xunit;

namespace Semel.Tests.Simulation;

public sealed class RandomRunTests
{
    /// <summary>Seeds that failed once. What they mean changes with the code, so they are a sample like any other, but a well-chosen one.</summary>
    public static TheoryData<ulong> Regressions => [11, 82, 100, 1003, 1100, 1129, 1295];

    [Theory]
    [MemberData(nameof(Regressions))]
    public void Seeds_that_failed_once_stay_good(ulong seed) => AssertGood(RandomRun.Run(seed));

    [Fact]
    public void Random_faults_lose_duplicate_and_reorder_nothing()
    {
        for (ulong seed = 5000; seed < 5060; seed++)
            AssertGood(RandomRun.Run(seed));
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
