using System.Diagnostics;

namespace Semel.EndToEnd;

/// <summary>What <c>/proc</c> says of processes.</summary>
internal static class Processes
{
    public static int[] ChildrenOf(int parent) =>
        File.Exists($"/proc/{parent}/task/{parent}/children")
            ? [.. Directory.GetDirectories($"/proc/{parent}/task").SelectMany(t => Read(t + "/children").Split(' ', StringSplitOptions.RemoveEmptyEntries)).Select(int.Parse)]
            : [.. Process.GetProcesses().Select(p => p.Id).Where(id => Fields(id) is { Length: > 1 } fields && fields[1] == $"{parent}")];

    /// <summary><c>T</c>: stopped; <c>-</c>: there is no such process.</summary>
    public static char StateOf(int id) => Fields(id) is { Length: > 0 } fields ? fields[0][0] : '-';

    /// <summary>Waits until a child of the process is stopped. Returns all that it has then.</summary>
    public static async Task<int[]> UntilStoppedChildAsync(int parent)
    {
        int[] children = [];
        await UntilAsync(() => (children = ChildrenOf(parent)).Any(child => StateOf(child) == 'T'));
        return children;
    }

    public static async Task UntilAsync(Func<bool> condition)
    {
        while (!condition())
            await Task.Delay(20, TestContext.Current.CancellationToken);
    }

    /// <summary>State, parent and so on: what follows the name, which may contain anything.</summary>
    private static string[] Fields(int id) => Read($"/proc/{id}/stat") is { Length: > 0 } stat ? stat[(stat.LastIndexOf(')') + 2)..].Split(' ') : [];

    private static string Read(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return "";
        }
    }
}
