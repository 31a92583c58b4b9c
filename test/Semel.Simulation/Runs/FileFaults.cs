using Semel.Simulation.Cluster;
using Semel.Simulation.Disk;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>
/// Damage at the end of a file: one bit, one sector, one truncation. What it hits had been durable for long, or its server had stopped as
/// it should, so it is no write that was under way; and another copy, or what follows it, proves the truth.
/// </summary>
internal sealed class FileFaults(SimulatedCluster cluster, RunPlan plan, SimulatedRandom random, Allowance allowance)
{
    private const int Sector = 512;

    /// <summary>How long an idle file is left alone before damage in it can be no torn write.</summary>
    private static readonly TimeSpan SettleTime = TimeSpan.FromSeconds(15);

    private SimulatedServer Target => allowance.MasterIsUnlucky ? cluster.Master : allowance.Unlucky;

    /// <summary>The target is stopped if it runs, harmed, and started again after a while.</summary>
    public async Task RotLastBytesAsync(Func<bool> hasEnded)
    {
        var server = Target;
        if (!server.IsUp)
            return;
        if (random.OneIn(3))
            await Task.Delay(SettleTime + TimeSpan.FromSeconds(random.Below(5)), cluster.Environment.Time);    // its files may be idle for so long
        else if (!await StoppedAsync(server))
            return;
        server.Kill();
        RotLastBytesOfStopped();
        await Task.Delay(random.Between(TimeSpan.Zero, plan.FaultDuration), cluster.Environment.Time);
        if (!hasEnded())
            server.Start();
    }

    /// <summary>As above, of a target that is down.</summary>
    public void RotLastBytesOfStopped()
    {
        var server = Target;
        // A master that started on harmed files is being judged: what was there before must stay what may be put back.
        if (server.Process is not null || server.IsGone || server.Refusal is not null || (server == cluster.Master && server.Truth is not null))
            return;
        var files = Candidates(server).Where(name => server.WasStopped || server.Disk.IsSettled(name, SettleTime)).ToList();
        if (files.Count == 0)
            return;
        // One of each kind is as likely as one of another, and there are many chunks.
        var kinds = files.GroupBy(Path.GetExtension).ToList();
        string file = random.Pick([.. random.Pick(kinds)]);
        Damage(server, file);
    }

    /// <summary>A replica of a server that runs is cut.</summary>
    public void TruncateRunning()
    {
        var server = allowance.Unlucky;
        if (!server.IsUp || allowance.HeldElsewhere() is not { Count: > 0 } files)
            return;
        string file = random.Pick(files);
        byte[] bytes = server.Disk.ReadAll(file);
        if (LastUnit.Of(file, bytes, before: random.Below(4)) is not { } unit)
            return;
        int length = random.OneIn(3) ? unit.Start + random.Below(unit.End - unit.Start) : unit.Start;
        server.WasHarmed = true;
        cluster.World.Reached("a replica was cut under its server");
        cluster.World.Tell(server.Host, $"{file} is cut from {bytes.Length} to {length} bytes while the server runs");
        server.Disk.Overwrite(file, bytes[..length]);
        if (random.OneIn(2))
            cluster.World.After(random.Between(TimeSpan.Zero, TimeSpan.FromSeconds(2)), () => Restart(server));
    }

    private static void Restart(SimulatedServer server)
    {
        if (!server.IsUp)
            return;
        server.Kill();
        server.Start();
    }

    private IEnumerable<string> Candidates(SimulatedServer server)
    {
        if (server == cluster.Master)
            return server.Disk.AllFiles().Where(name => name is "identity" or "generation" || name.EndsWith(".log", StringComparison.Ordinal));
        var chunks = allowance.HeldElsewhere().SelectMany(file => new[] { file, Path.ChangeExtension(file, "meta"), Path.ChangeExtension(file, "base") });
        return chunks.Append("generation").Append("identity").Where(server.Disk.Exists);
    }

    private void Damage(SimulatedServer server, string file)
    {
        byte[] bytes = server.Disk.ReadAll(file);
        if (LastUnit.Of(file, bytes, before: random.OneIn(3) ? random.Below(4) : 0) is not { } unit)
            return;
        (server.WasHarmed, server.MayRefuse) = (true, true);
        server.Truth = server.Disk.Backup();
        string how;
        switch (random.Below(5))
        {
            case 0:
                how = "a sector rots";
                int sector = (unit.Start + random.Below(unit.End - unit.Start)) / Sector * Sector;
                random.NextBytes(bytes.AsSpan(sector..Math.Min(bytes.Length, sector + Sector)));
                break;
            case 1:
                how = "is cut at a boundary";
                bytes = bytes[..unit.Start];
                break;
            case 2:
                how = "is cut";
                bytes = bytes[..(unit.Start + random.Below(unit.End - unit.Start))];
                break;
            case 3:
                how = "is zero to its end";
                bytes.AsSpan(random.OneIn(2) ? unit.Start : unit.Start + random.Below(unit.End - unit.Start)).Clear();
                break;
            default:
                how = "a bit rots";
                bytes[unit.Start + random.Below(unit.End - unit.Start)] ^= (byte)(1 << random.Below(8));
                break;
        }
        string kind = Path.GetExtension(file) is { Length: > 0 } extension ? extension : file;
        cluster.World.Reached($"last bytes of {kind}: {how}");
        cluster.World.Tell(server.Host, $"{file}, in its last {unit.Start}..{unit.End}: {how}");
        server.Disk.Overwrite(file, bytes);
    }

    private static async Task<bool> StoppedAsync(SimulatedServer server)
    {
        try
        {
            await server.StopAsync();
            return server.WasStopped;
        }
        catch (ProcessDiedException)
        {
            return false;   // another fault was faster
        }
    }
}
