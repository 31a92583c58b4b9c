using System.Text.RegularExpressions;
using Xunit;

namespace Semel.Tests.House;

public sealed partial class TodoTests
{
    [Fact]
    public void What_is_left_to_do_names_its_issue()
    {
        var nameless =
            from path in Repository.Sources(".cs", ".proto", ".csproj")
            from line in File.ReadLines(Path.Join(Repository.Root, path)).Select((text, index) => (Text: text, Number: index + 1))
            where ToDo().IsMatch(line.Text) && !WithIssue().IsMatch(line.Text)
            select $"{path}:{line.Number}: {line.Text.Trim()}";

        Assert.Empty(nameless);
    }

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b")]
    private static partial Regex ToDo();

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b.*#\d+")]
    private static partial Regex WithIssue();
}
