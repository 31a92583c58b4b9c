using System.Reflection;
using System.Text.RegularExpressions;

namespace Semel.Tests.House;

/// <summary>docs/semantics.md promises nothing without a test.</summary>
public partial class SemanticsTests
{
    [Fact]
    public void Every_test_that_the_semantics_name_exists()
    {
        string page = Repository.Read("docs/semantics.md");
        var here = Assembly.GetExecutingAssembly().GetTypes().SelectMany(t => t.GetMethods().Select(m => $"{t.Name}.{m.Name}")).ToHashSet();
        string endToEnd = string.Concat(Directory.GetFiles(Path.Join(Repository.Root, "test/Semel.EndToEnd"), "*Tests.cs").Select(File.ReadAllText));

        var named = TestName().Matches(page).Select(m => (Whole: m.Groups[1].Value, Method: m.Groups[2].Value)).ToList();
        var missing = named.Where(n => !here.Contains(n.Whole) && !endToEnd.Contains($" {n.Method}(", StringComparison.Ordinal)).Select(n => n.Whole);

        Assert.True(named.Count > 30);
        Assert.Empty(missing);
    }

    [Fact]
    public void Every_claim_names_a_test()
    {
        var rows = File.ReadLines(Path.Join(Repository.Root, "docs/semantics.md"))
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal) && !line.StartsWith("| claim", StringComparison.Ordinal));

        Assert.All(rows, row => Assert.Matches(TestName(), row));
    }

    [GeneratedRegex(@"`(\w+Tests\.(\w+))`")]
    private static partial Regex TestName();
}
