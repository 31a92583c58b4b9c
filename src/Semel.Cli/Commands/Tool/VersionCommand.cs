using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Tool;

/// <summary><c>semel version</c></summary>
internal static class VersionCommand
{
    private sealed record Shape(string Version, string? Commit, string Runtime);

    public static Command Create(VerbRunner run) => run.Runs(new Command("version", "Print the version."), context =>
    {
        string full = typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0.0.0";
        int plus = full.IndexOf('+', StringComparison.Ordinal);
        var shape = new Shape(plus < 0 ? full : full[..plus], plus < 0 ? null : full[(plus + 1)..], RuntimeInformation.FrameworkDescription);
        context.Streams.WriteLine(context.Json ? JsonLine.Of(shape) : $"semel {full} ({shape.Runtime})");
        return Task.CompletedTask;
    });
}
