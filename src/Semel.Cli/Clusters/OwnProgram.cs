using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Semel.Cli.Clusters;

/// <summary>How to start this program again, whether it runs as <c>dotnet semel.dll</c>, from a test, or as one file.</summary>
internal static class OwnProgram
{
    public static ProcessStartInfo Start(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo { UseShellExecute = false };
        string library = Path.Combine(AppContext.BaseDirectory, "semel.dll");
        if (File.Exists(library))
        {
            start.FileName = DotnetHost();
            start.ArgumentList.Add(library);
        }
        else
        {
            start.FileName = Environment.ProcessPath!;
        }
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return start;
    }

    private static string DotnetHost()
    {
        // .../dotnet/shared/Microsoft.NETCore.App/10.0.0/ -> .../dotnet/dotnet
        string name = OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet";
        string host = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", name));
        return File.Exists(host) ? host : name;
    }
}
