using System.Diagnostics;
using System.Globalization;

namespace Semel.Simulation.PlantedBugs;

/// <summary>
/// Plants each bug in a copy of the sources, builds that, and runs the simulation on it until a seed finds the bug. The sources here are never touched.
/// </summary>
internal sealed class Planting(string root, int seeds, TextWriter output) : IDisposable
{
    private static readonly string[] Copied = ["src", "test/Semel.Simulation", "eng"];

    private readonly string _garden = Directory.CreateTempSubdirectory("semel-planted-").FullName;

    /// <summary>The nearest directory upwards that has the solution.</summary>
    public static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Semel.slnx")))
                return directory.FullName;
        }
        throw new InvalidOperationException($"{AppContext.BaseDirectory} is not below the repository.");
    }

    /// <summary>True: every bug was found, and without one nothing was.</summary>
    public bool Run(IReadOnlyList<PlantedBug> bugs)
    {
        var clock = Stopwatch.StartNew();
        Copy();
        Build("test/Semel.Simulation", "-p:RestoreLockedMode=true");
        string healthy = Path.Combine(_garden, "test/Semel.Simulation/bin/Release/net10.0");
        string control = CopyOf(healthy, "control");
        output.WriteLine($"{"",-26} {"seed",6}  what was seen");
        var pending = (Name: "(no bug)", Found: RunSeedsAsync(control, [], first: 1, seeds), Expected: false);
        bool good = true;
        foreach (var bug in bugs)
        {
            string mutant = Plant(bug, healthy);        // builds while the one before runs
            good &= Report(pending);
            pending = (bug.Name, FindAsync(mutant, control, bug), true);
        }
        good &= Report(pending);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{bugs.Count} bugs, {clock.Elapsed.TotalSeconds:0} s: {(good ? "all found" : "NOT all found")}"));
        return good;
    }

    public void Dispose() => Directory.Delete(_garden, recursive: true);

    private void Copy()
    {
        foreach (string file in Directory.EnumerateFiles(root).Where(f => Path.GetFileName(f) is "global.json" or ".editorconfig" || Path.GetFileName(f).StartsWith("Directory.", StringComparison.Ordinal)))
            File.Copy(file, Path.Combine(_garden, Path.GetFileName(file)));
        foreach (string part in Copied)
        {
            foreach (string file in Directory.EnumerateFiles(Path.Combine(root, part), "*", SearchOption.AllDirectories))
            {
                string relative = Path.GetRelativePath(root, file);
                if (relative.Split(Path.DirectorySeparatorChar).Any(name => name is "bin" or "obj"))
                    continue;
                string target = Path.Combine(_garden, relative);
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                File.Copy(file, target);
            }
        }
    }

    /// <summary>A copy of the healthy program with the one library that has the bug.</summary>
    private string Plant(PlantedBug bug, string healthy)
    {
        var originals = bug.Edits.Select(e => Path.Combine(_garden, e.File)).Distinct().ToDictionary(file => file, File.ReadAllText);
        foreach (var edit in bug.Edits)
        {
            string file = Path.Combine(_garden, edit.File);
            File.WriteAllText(file, edit.ApplyTo(File.ReadAllText(file)));
        }
        Build(bug.Project, "--no-restore", "-p:BuildProjectReferences=false");
        string mutant = CopyOf(healthy, bug.Name);
        File.Copy(Path.Combine(_garden, bug.Project, "bin/Release/net10.0", bug.Assembly), Path.Combine(mutant, bug.Assembly), overwrite: true);
        foreach (var (file, text) in originals)
            File.WriteAllText(file, text);
        return mutant;
    }

    private string CopyOf(string directory, string name)
    {
        string copy = Path.Combine(_garden, "mutants", name);
        Directory.CreateDirectory(copy);
        foreach (string file in Directory.EnumerateFiles(directory))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        return copy;
    }

    private void Build(string project, params string[] options)
    {
        string[] arguments = ["build", project, "-c", "Release", "--nologo", "-v", "quiet", "-p:RunAnalyzers=false", "-p:TreatWarningsAsErrors=false", "-p:WarningLevel=0", .. options];
        var (exitCode, text) = RunAsync("dotnet", arguments).GetAwaiter().GetResult();
        if (exitCode != 0)
            throw new InvalidOperationException($"dotnet {string.Join(' ', arguments)} ended with {exitCode}:\n{text}");
    }

    /// <summary>What the mutant's first bad seed says; the same seed must be good without the bug. Null: no seed is bad.</summary>
    private async Task<string?> FindAsync(string mutant, string control, PlantedBug bug)
    {
        string? found = await RunSeedsAsync(mutant, bug.Circumstances, first: 1, seeds);
        if (found is null || SeedOf(found) is not { } seed || await RunSeedsAsync(control, bug.Circumstances, seed, runs: 1) is not { } alsoFound)
            return found;
        throw new InvalidOperationException($"{bug.Name}: the seed is bad without the bug, too: {alsoFound}");
    }

    private async Task<string?> RunSeedsAsync(string program, string[] circumstances, int first, int runs)
    {
        var (exitCode, text) = await RunAsync("dotnet",
            [Path.Combine(program, "Semel.Simulation.dll"), "--seed", $"{first}", "--runs", $"{runs}", .. circumstances]);
        return exitCode == 0 ? null : text.Split('\n').FirstOrDefault(line => line.StartsWith("seed ", StringComparison.Ordinal) || line.StartsWith("up to ", StringComparison.Ordinal)) ?? $"exit code {exitCode}: {text}";
    }

    private static int? SeedOf(string found) =>
        found.Split(' ') is ["seed", var number, ..] ? int.Parse(number, CultureInfo.InvariantCulture) : null;

    private bool Report((string Name, Task<string?> Found, bool Expected) run)
    {
        string? found;
        try
        {
            found = run.Found.GetAwaiter().GetResult();
        }
        catch (InvalidOperationException e)
        {
            output.WriteLine($"{run.Name,-26} {"",6}  {e.Message}");
            return false;
        }
        bool good = found is not null == run.Expected;
        string[] parts = found?.Split(' ', 5) ?? [];
        string seed = found is not null && SeedOf(found) is { } number ? $"{number}" : "-";
        string seen = found is null ? $"nothing in {seeds} seeds" : parts.Length == 5 ? parts[4] : found;
        output.WriteLine($"{run.Name,-26} {seed,6}  {seen}{(good ? "" : run.Expected ? "  <-- NOT FOUND" : "  <-- A BUG THAT NOBODY PLANTED")}");
        return good;
    }

    private async Task<(int ExitCode, string Text)> RunAsync(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = _garden, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string text = await process.StandardOutput.ReadToEndAsync();
        await error;
        await process.WaitForExitAsync();
        return (process.ExitCode, text);
    }
}
