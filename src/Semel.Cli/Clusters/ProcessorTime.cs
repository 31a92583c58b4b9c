using System.Globalization;

namespace Semel.Cli.Clusters;

/// <summary>CPU seconds of processes, from <c>/proc/PID/stat</c> (in ticks of 10 ms).</summary>
internal static class ProcessorTime
{
    private const double TicksPerSecond = 100;

    public static double OfThisProcess => OfProcess(Environment.ProcessId);

    /// <summary>User and system time; 0 when there is no such process.</summary>
    public static double OfProcess(int id)
    {
        try
        {
            return Parse(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/stat")));
        }
        catch (IOException)
        {
            return 0;
        }
    }

    /// <summary>Fields 14 and 15; the second field, the program's name, may contain anything.</summary>
    internal static double Parse(string stat)
    {
        var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
    }
}
