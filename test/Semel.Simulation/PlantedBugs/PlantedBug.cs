namespace Semel.Simulation.PlantedBugs;

/// <summary>A change of one file that puts a mistake into the program.</summary>
/// <param name="File">Below the repository's root.</param>
/// <param name="Old">Text that the file has exactly once.</param>
/// <param name="New">What stands in its place.</param>
internal sealed record Edit(string File, string Old, string New)
{
    /// <summary>The file with the mistake in it.</summary>
    /// <exception cref="InvalidOperationException">The old text is not there, or more than once: the program has changed, and the bug must be planted anew.</exception>
    public string ApplyTo(string text)
    {
        int at = text.IndexOf(Old, StringComparison.Ordinal);
        if (at < 0 || text.IndexOf(Old, at + 1, StringComparison.Ordinal) >= 0)
            throw new InvalidOperationException($"{File} has the text that the bug replaces {(at < 0 ? "not at all" : "more than once")}:\n{Old}");
        return text[..at] + New + text[(at + Old.Length)..];
    }
}

/// <summary>A mistake that the simulation must find, or it proves nothing about its absence.</summary>
/// <param name="Name">In one word, for the command line.</param>
/// <param name="Breaks">The rule that does not hold any more.</param>
/// <param name="Edits">All in one project.</param>
internal sealed record PlantedBug(string Name, string Breaks, params Edit[] Edits)
{
    /// <summary>What the runs are limited to, as options of the runner, where the mistake needs rare circumstances. Most need nothing.</summary>
    public string[] Circumstances { get; init; } = [];

    /// <summary>Of the project that changes.</summary>
    public string Project => string.Join('/', Edits[0].File.Split('/')[..2]);

    public string Assembly => Project.Split('/')[1] + ".dll";
}
