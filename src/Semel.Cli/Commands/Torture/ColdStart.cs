namespace Semel.Cli.Commands.Torture;

/// <summary>
/// How a whole cluster is stopped and comes back: its nodes one by one, and one of the chunk servers perhaps with an empty disk.
/// </summary>
/// <param name="IsClean">SIGTERM; else SIGKILL.</param>
/// <param name="Order">Of the starts. 0: the master.</param>
/// <param name="Gaps">Before each start: 0.1 to 10 s, short ones as likely as long ones.</param>
/// <param name="Wipes">Chunk servers whose directories may be wiped, the first one that nothing depends on; empty: none.</param>
internal sealed record ColdStart(bool IsClean, IReadOnlyList<int> Order, IReadOnlyList<TimeSpan> Gaps, IReadOnlyList<int> Wipes)
{
    private const double Shortest = 0.1, Longest = 10;

    public TimeSpan Lasts => TimeSpan.FromTicks(Gaps.Sum(g => g.Ticks));

    public static ColdStart Draw(int draw, int chunkServers)
    {
        var random = new Random(draw);
        bool isClean = random.Next(2) == 0;
        bool wipes = random.Next(2) == 0;
        int[] order = [.. Enumerable.Range(0, chunkServers + 1)];
        random.Shuffle(order);
        int[] wiped = [.. Enumerable.Range(1, wipes ? chunkServers : 0)];
        random.Shuffle(wiped);
        var gaps = order.Select(_ => TimeSpan.FromMilliseconds(Math.Round(1000 * Shortest * Math.Pow(Longest / Shortest, random.NextDouble())))).ToList();
        return new ColdStart(isClean, order, gaps, wiped);
    }
}
