using System.Text.RegularExpressions;

namespace Semel.Tests.House;

/// <summary>Documents name files that exist.</summary>
public partial class DocumentsTests
{
    public static TheoryData<string> Documents => [.. Directory
        .EnumerateFiles(Path.Join(Repository.Root, "docs"), "*.md", SearchOption.AllDirectories)
        .Select(path => Path.GetRelativePath(Repository.Root, path)).Append("README.md").Append("CONTRIBUTING.md").Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Documents))]
    public void Every_source_that_a_document_names_exists(string document)
    {
        var missing = SourcePath().Matches(Repository.Read(document)).Select(m => m.Groups[1].Value)
            .Where(path => !Path.Exists(Path.Join(Repository.Root, path)));

        Assert.Empty(missing);
    }

    [Theory]
    [MemberData(nameof(Documents))]
    public void Every_link_between_documents_leads_somewhere(string document)
    {
        string folder = Path.GetDirectoryName(Path.Join(Repository.Root, document))!;
        var dead = Link().Matches(Repository.Read(document)).Select(m => m.Groups[1].Value)
            .Where(target => !Path.Exists(Path.Join(folder, target)));

        Assert.Empty(dead);
    }

    [GeneratedRegex(@"`((?:src|test|eng|samples|config|docs)/[\w./-]+)`")]
    private static partial Regex SourcePath();

    [GeneratedRegex(@"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")]
    private static partial Regex Link();
}
