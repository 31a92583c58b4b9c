using System.Buffers.Binary;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.EndToEnd;

/// <summary>Damage to the last entries of the master's log, as real processes meet it, and the operator's way out.</summary>
public sealed class LogDamageTests : IDisposable
{
    private const int SegmentHeaderBytes = 64;
    private const int EntryHeaderBytes = 32;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private string Data => Path.Combine(_directory.Path, "master");
    private string Segment => Path.Combine(Data, "log", "00000001.log");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_bit_in_the_last_entry_keeps_the_master_from_starting_and_is_mended_by_the_operator(bool clean)
    {
        await RunMasterAsync(clean, client => client.CreateAsync("/last", null, TestContext.Current.CancellationToken));
        byte[] whole = await File.ReadAllBytesAsync(Segment, TestContext.Current.CancellationToken);
        var (at, length, _) = Entries(whole)[^1];
        byte[] damaged = [.. whole];
        damaged[at + EntryHeaderBytes + (length / 2)] ^= 0x10;
        await File.WriteAllBytesAsync(Segment, damaged, TestContext.Current.CancellationToken);

        var start = await StartMasterAsync();
        var inspected = await Shell.RunAsync("log", "inspect", Data);
        var dry = await Shell.RunAsync("log", "recover", Data);
        Assert.Equal(damaged, await File.ReadAllBytesAsync(Segment, TestContext.Current.CancellationToken));
        var mended = await Shell.RunAsync("log", "recover", Data, "--yes");

        Assert.Equal(ExitCode.Failed, start.ExitCode);
        Assert.Contains("that is no torn write: the journal's witness says", start.Error, StringComparison.Ordinal);
        Assert.Contains("semel log recover", start.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.VerificationFailed, inspected.ExitCode);
        Assert.Contains($"byte {at + EntryHeaderBytes + (length / 2)} is flipped", inspected.Output, StringComparison.Ordinal);
        Assert.Equal((ExitCode.Done, ExitCode.Done), (dry.ExitCode, mended.ExitCode));
        Assert.Equal(whole, await File.ReadAllBytesAsync(Segment, TestContext.Current.CancellationToken));
        Assert.Equal(damaged, await File.ReadAllBytesAsync(Segment + ".damaged", TestContext.Current.CancellationToken));
        Assert.Equal(ExitCode.Done, (await Shell.RunAsync("log", "inspect", Data)).ExitCode);
        // Of a file it says nothing yet: its log names no chunk server that could confirm it.
        await RunMasterAsync(true, async client => Assert.Equal(1, (await client.GetClusterStatusAsync(TestContext.Current.CancellationToken)).Files));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_log_that_was_cut_between_entries_or_ends_in_zeros_keeps_the_master_from_starting_until_the_rest_is_given_up(bool zeros)
    {
        await RunMasterAsync(true, async client =>
        {
            await client.CreateAsync("/kept", null, TestContext.Current.CancellationToken);
            await client.CreateAsync("/lost", null, TestContext.Current.CancellationToken);
        });
        byte[] whole = await File.ReadAllBytesAsync(Segment, TestContext.Current.CancellationToken);
        var (at, _, number) = Entries(whole)[^1];
        await File.WriteAllBytesAsync(Segment, zeros ? [.. whole[..at], .. new byte[whole.Length - at]] : whole[..at], TestContext.Current.CancellationToken);

        var start = await StartMasterAsync();
        var recovered = await Shell.RunAsync("log", "recover", Data, "--yes");
        var wrong = await Shell.RunAsync("log", "recover", Data, "--give-up-from", $"{number - 1}", "--yes");
        var refused = await StartMasterAsync();
        var given = await Shell.RunAsync("log", "recover", Data, "--give-up-from", $"{number}", "--yes");

        Assert.Equal((ExitCode.Failed, ExitCode.Failed), (start.ExitCode, refused.ExitCode));
        Assert.Contains($"entry {number} cannot be read", start.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.VerificationFailed, recovered.ExitCode);
        Assert.Contains($"--give-up-from {number}", recovered.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongUsage, wrong.ExitCode);
        Assert.Equal(ExitCode.Done, given.ExitCode);
        // The one that was kept; the other one is gone.
        await RunMasterAsync(true, async client => Assert.Equal(1, (await client.GetClusterStatusAsync(TestContext.Current.CancellationToken)).Files));
    }

    [Fact]
    public async Task What_is_whole_behind_the_damage_is_counted_before_it_is_given_up()
    {
        await RunMasterAsync(true, async client =>
        {
            foreach (string path in new[] { "/a", "/b", "/c" })
                await client.CreateAsync(path, null, TestContext.Current.CancellationToken);
        });
        byte[] bytes = await File.ReadAllBytesAsync(Segment, TestContext.Current.CancellationToken);
        var (at, _, number) = Entries(bytes)[^3];
        bytes.AsSpan(at + EntryHeaderBytes, 8).Fill(0xFF);
        await File.WriteAllBytesAsync(Segment, bytes, TestContext.Current.CancellationToken);

        var inspected = await Shell.RunAsync("log", "inspect", Data);

        Assert.Equal(ExitCode.VerificationFailed, inspected.ExitCode);
        Assert.Contains($"entries {number} to at least {number + 2}, if they are given up; 2 of them can still be read", inspected.Output, StringComparison.Ordinal);
        Assert.Contains("2 files created", inspected.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_running_master_is_not_disturbed_and_another_directory_not_touched()
    {
        await using var master = await ServerProcess.StartAsync("master", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Data], TimeProvider.System, default);

        Assert.Equal(ExitCode.Conflict, (await Shell.RunAsync("log", "inspect", Data)).ExitCode);
        Assert.Equal(ExitCode.Conflict, (await Shell.RunAsync("log", "recover", _directory.Path, "--yes")).ExitCode);
        Assert.Equal(ExitCode.NotFound, (await Shell.RunAsync("log", "inspect", Data + "-nowhere")).ExitCode);
        Assert.False(File.Exists(Path.Combine(_directory.Path, "LOCK")));
    }

    private Task<Shell.Result> StartMasterAsync() => Shell.RunAsync("master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Data, "--while-stdin-is-open");

    /// <summary>Stops it by SIGTERM, or kills it when its log had been idle for a moment.</summary>
    private async Task RunMasterAsync(bool clean, Func<SemelClient, Task> use)
    {
        await using var master = await ServerProcess.StartAsync("master", ["master", "--bind", "127.0.0.1:0", "--http", "none", "--data", Data], TimeProvider.System, default);
        await using (var client = SemelClient.Connect(master.Address))
            await use(client);
        if (clean)
            return;
        await Processes.UntilAsync(() => Witnessed() >= Entries(File.ReadAllBytes(Segment))[^1].Number);
        await master.KillAsync();
    }

    /// <summary>Where each entry begins, how many bytes it has, its number.</summary>
    private static List<(int At, int Length, ulong Number)> Entries(byte[] segment)
    {
        var entries = new List<(int, int, ulong)>();
        for (int at = SegmentHeaderBytes; at + EntryHeaderBytes <= segment.Length;)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(segment.AsSpan(at + 4));
            ulong number = BinaryPrimitives.ReadUInt64LittleEndian(segment.AsSpan(at + 8));
            if (number == 0)
                break;
            entries.Add((at, length, number));
            at += EntryHeaderBytes + ((length + 7) & ~7);
        }
        return entries;
    }

    private ulong Witnessed()
    {
        byte[] witness = File.ReadAllBytes(Path.Combine(Data, "log", "witness"));
        return Math.Max(BinaryPrimitives.ReadUInt64LittleEndian(witness.AsSpan(16)), BinaryPrimitives.ReadUInt64LittleEndian(witness.AsSpan(4096 + 16)));
    }
}
