using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace Semel.Tests.House;

/// <summary>The simulation owns time, chance and the schedule, so the compiler refuses what takes them from elsewhere (eng/BannedSymbols.txt).</summary>
public sealed partial class BannedSymbolsTests
{
    private const string Analyzer = "Microsoft.CodeAnalysis.BannedApiAnalyzers";

    public static TheoryData<string> Projects => [.. Repository.Projects];

    [Theory]
    [MemberData(nameof(Projects))]
    public void The_analyzer_is_in_every_project(string project)
    {
        // What restore resolved, after every import and condition.
        using var assets = JsonDocument.Parse(Repository.Read($"src/{project}/obj/project.assets.json"));
        var dependencies = assets.RootElement.GetProperty("project").GetProperty("frameworks").EnumerateObject().Single().Value.GetProperty("dependencies");
        Assert.True(dependencies.TryGetProperty(Analyzer, out _));

        string file = Repository.Read($"src/{project}/{project}.csproj");
        Assert.DoesNotContain("IsProduct", file, StringComparison.Ordinal);
        Assert.DoesNotContain("RS0030", file, StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles(Path.Join(Repository.Root, "src", project)), f => Path.GetFileName(f).StartsWith("Directory.Build", StringComparison.Ordinal));
    }

    [Fact]
    public void The_list_goes_to_the_analyzer_and_what_it_finds_is_an_error()
    {
        var list = XDocument.Parse(Repository.Read("Directory.Build.targets")).Descendants("AdditionalFiles").Single();
        Assert.EndsWith("eng/BannedSymbols.txt", list.Attribute("Include")!.Value, StringComparison.Ordinal);
        Assert.Contains("'$(IsProduct)' == 'true'", list.Parent!.Attribute("Condition")!.Value, StringComparison.Ordinal);
        Assert.Contains("dotnet_diagnostic.RS0030.severity = error", Repository.Read(".editorconfig"), StringComparison.Ordinal);

        string symbols = Repository.Read("eng/BannedSymbols.txt");
        foreach (string symbol in new[] { "DateTime.UtcNow", "Task.Run", "Thread.Sleep", "ConfigureAwait", "Guid.NewGuid", "Random.Shared" })
            Assert.Contains(symbol, symbols, StringComparison.Ordinal);
    }

    /// <summary>Real threads, clocks and sockets are at the edges.</summary>
    [Fact]
    public void Only_the_edges_lift_the_ban_and_they_say_why()
    {
        foreach (string path in Repository.Sources(".cs"))
        {
            foreach (Match match in Lifted().Matches(Repository.Read(path)))
            {
                Assert.True(
                    path.StartsWith("src/Semel.Transport/", StringComparison.Ordinal)
                        || path.StartsWith("src/Semel.Cli/", StringComparison.Ordinal)
                        || path.StartsWith("src/Semel.Storage/Disks/", StringComparison.Ordinal),
                    $"{path} lifts RS0030, which only the transport, the real disk and the command line may.");
                Assert.True(match.Groups["reason"].Value.Trim().Length > 10, $"{path} lifts RS0030 without a reason: '{match.Value.Trim()}'.");
            }
        }
    }

    [GeneratedRegex(@"(#pragma\s+warning\s+disable\s+RS0030|SuppressMessage\([^)]*RS0030)(?<reason>.*)")]
    private static partial Regex Lifted();
}
