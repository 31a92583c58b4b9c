using System.Xml.Linq;
using Xunit;

namespace Semel.Tests.House;

/// <summary>Which project may reference which (docs/ARCHITECTURE.md). The servers and the client meet in the protocol and nowhere else.</summary>
public sealed class ArrowsTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Semel.Protocol"] = [],
        ["Semel.Transport"] = ["Semel.Protocol"],
        ["Semel.Storage"] = ["Semel.Protocol"],
        ["Semel.ChunkServer"] = ["Semel.Protocol", "Semel.Storage"],
        ["Semel.Master"] = ["Semel.Protocol", "Semel.Storage"],
        ["Semel.Client"] = ["Semel.Protocol", "Semel.Transport"],
        ["Semel.Cli"] = ["Semel.Protocol", "Semel.Transport", "Semel.Storage", "Semel.ChunkServer", "Semel.Master", "Semel.Client"],
    };

    public static TheoryData<string> Projects => [.. Repository.Projects];

    [Theory]
    [MemberData(nameof(Projects))]
    public void An_assembly_references_only_what_the_architecture_allows(string project)
    {
        var references = Repository.Load(project).GetReferencedAssemblies().Select(r => r.Name!).Where(Repository.Assemblies.Values.Contains);

        Assert.Subset(Allowed[project].ToHashSet(), references.ToHashSet());
    }

    /// <summary>The compiler leaves out a reference that nothing uses yet; the project file does not.</summary>
    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_file_references_only_what_the_architecture_allows(string project)
    {
        var references = XDocument.Parse(Repository.Read($"src/{project}/{project}.csproj"))
            .Descendants("ProjectReference")
            .Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/')));

        Assert.Subset(Allowed[project].ToHashSet(), references.ToHashSet());
    }

    [Fact]
    public void Every_project_has_its_arrows_written_down() =>
        Assert.Equal(Repository.Projects, Allowed.Keys.Order(StringComparer.Ordinal));
}
