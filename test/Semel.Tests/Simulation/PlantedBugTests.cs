using Semel.Simulation.PlantedBugs;
using Xunit;

namespace Semel.Tests.Simulation;

public sealed class PlantedBugTests
{
    public static TheoryData<string> Names => [.. Catalogue.All.Select(bug => bug.Name)];

    /// <summary>Whether the simulation finds it is what <c>eng/mutations.sh</c> shows.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void A_bug_can_be_planted_in_the_sources_as_they_are(string name)
    {
        var bug = Catalogue.All.Single(bug => bug.Name == name);
        string root = Planting.FindRoot();

        var texts = bug.Edits.Select(edit => edit.File).Distinct().ToDictionary(file => file, file => File.ReadAllText(Path.Combine(root, file)));
        foreach (var edit in bug.Edits)
            texts[edit.File] = edit.ApplyTo(texts[edit.File]);

        Assert.All(bug.Edits, edit => Assert.StartsWith(bug.Project + "/", edit.File, StringComparison.Ordinal));
        Assert.All(texts, text => Assert.NotEqual(File.ReadAllText(Path.Combine(root, text.Key)), text.Value));
    }

    [Fact]
    public void A_bug_whose_text_is_gone_fails_instead_of_being_forgotten()
    {
        var edit = new Edit("src/File.cs", "if (true)", "if (false)");

        Assert.Throws<InvalidOperationException>(() => edit.ApplyTo("while (true)"));
        Assert.Throws<InvalidOperationException>(() => edit.ApplyTo("if (true) if (true)"));
        Assert.Equal("x if (false) y", edit.ApplyTo("x if (true) y"));
    }
}
