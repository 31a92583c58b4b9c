using System.Reflection;

namespace Semel.Tests.House;

/// <summary>The source tree that the tests were built from, and the assemblies that were built of it.</summary>
internal static class Repository
{
    /// <summary>Every product assembly, by the name of its project.</summary>
    public static readonly IReadOnlyDictionary<string, string> Assemblies = new SortedDictionary<string, string>(StringComparer.Ordinal)
    {
        ["Semel.ChunkServer"] = "Semel.ChunkServer",
        ["Semel.Cli"] = "semel",
        ["Semel.Client"] = "Semel.Client",
        ["Semel.Master"] = "Semel.Master",
        ["Semel.Protocol"] = "Semel.Protocol",
        ["Semel.Storage"] = "Semel.Storage",
        ["Semel.Transport"] = "Semel.Transport",
    };

    public static string Root { get; } = FindRoot();

    public static string Read(string path) => File.ReadAllText(Path.Join(Root, path));

    /// <summary>Names of the projects in <c>src/</c>.</summary>
    public static IEnumerable<string> Projects => Directory.GetDirectories(Path.Join(Root, "src")).Select(d => Path.GetFileName(d)).Order(StringComparer.Ordinal);

    /// <summary>Paths of the source files in <c>src/</c>, relative to the root, without what the build made.</summary>
    public static IEnumerable<string> Sources(params string[] extensions) =>
        Directory.EnumerateFiles(Path.Join(Root, "src"), "*", SearchOption.AllDirectories)
            .Where(path => extensions.Contains(Path.GetExtension(path)))
            .Select(path => Path.GetRelativePath(Root, path).Replace('\\', '/'))
            .Where(path => !path.Contains("/bin/", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal);

    public static Assembly Load(string project) => Assembly.Load(new AssemblyName(Assemblies[project]));

    private static string FindRoot()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Join(at.FullName, "Semel.slnx")))
                return at.FullName;
        }
        throw new InvalidOperationException($"No directory above {AppContext.BaseDirectory} has Semel.slnx. Run the tests from inside the repository.");
    }
}
