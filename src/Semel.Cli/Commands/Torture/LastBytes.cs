using Semel.Cli.Clusters;
using Semel.Protocol.Identity;

namespace Semel.Cli.Commands.Torture;

/// <summary>What was done to a file, and what it was before.</summary>
/// <param name="IsOneBit">Nothing but one flipped bit.</param>
internal sealed record Damage(string What, string File, byte[] Before, bool IsOneBit)
{
    public bool IsUndone => System.IO.File.ReadAllBytes(File).AsSpan().SequenceEqual(Before);

    public void Undo() => System.IO.File.WriteAllBytes(File, Before);
}

/// <summary>
/// Damages the last bytes of one file of a server that was stopped: a bit, a sector, or a truncation. Of a chunk server's files only those
/// of replicas that
/// <see cref="SpareCopies"/> lets go; of the master's, its log, of which nobody else has a copy (<see cref="DamagedLog"/>).
/// </summary>
internal sealed class LastBytes(ProxiedCluster cluster, SpareCopies spare, ChunkRot rot)
{
    private const int Sector = 512;
    private const int LastOnes = 64;
    private const int MostCutOff = 200;
    private const int MostCutOffLog = 24;   // less than an entry's header: the cut is within the last entry
    private const int Tries = 20;

    /// <summary>Null: there is no file that may be hurt.</summary>
    public Damage? Strike(int node, int draw)
    {
        var random = new Random(draw);
        if (node == 0)
        {
            string? log = Directory.EnumerateFiles(Path.Combine(cluster.DataOf(0), "log"), "*.log").Max(StringComparer.Ordinal);
            return log is null ? null : Hurt(log, random, MostCutOffLog);
        }
        foreach (ulong handle in spare.ChunksOf(node).OrderBy(_ => random.Next()).Take(Tries))
        {
            if (!spare.IsSpare(node, handle))
                continue;
            rot.Planted.Add((cluster.AddressOf(node), handle));
            if (Hurt(spare.FileOf(node, handle, random.Next(3) == 0 ? "meta" : "chunk"), random, MostCutOff) is { } damage)
                return damage with { What = $"{damage.What} (chunk {new ChunkHandle(handle)})" };
        }
        return null;
    }

    /// <summary>Null: the file is empty.</summary>
    private static Damage? Hurt(string file, Random random, int mostCutOff)
    {
        byte[] before = File.ReadAllBytes(file);
        // Zeros are written ahead of a log's end.
        int end = before.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        if (end == 0)
            return null;
        byte[] after = [.. before];
        string what;
        int how = random.Next(3);
        switch (how)
        {
            case 0:
                int at = end - 1 - random.Next(Math.Min(end, LastOnes));
                after[at] ^= (byte)(1 << random.Next(8));
                what = $"a bit at {at}";
                break;
            case 1:
                int from = (end - 1) / Sector * Sector;
                bool noise = random.Next(2) == 0;
                var sector = after.AsSpan(from, Math.Min(Sector, after.Length - from));
                if (noise)
                    random.NextBytes(sector);
                else
                    sector.Clear();
                what = $"the sector at {from}, {(noise ? "noise" : "zeros")}";
                break;
            default:
                int cut = Math.Min(end, 1 + random.Next(mostCutOff));
                after = after[..(end - cut)];
                what = $"cut off at {end - cut}";
                break;
        }
        File.WriteAllBytes(file, after);
        return new Damage($"{Path.GetFileName(file)} of {end} bytes: {what}", file, before, IsOneBit: how == 0);
    }
}
