using System.Globalization;
using Semel.Cli.Clusters;

namespace Semel.Cli.Commands.Bench;

/// <summary>What one process used during a run.</summary>
internal sealed record ProcessUse(string Name, double CpuS, long DiskWrittenBytes);

/// <summary>What a run cost.</summary>
/// <param name="Processes">The client first; servers only if this program started them.</param>
/// <param name="ForeignCpuShare">Share of all processors, 0 to 1, that went to other processes (or was stolen): how disturbed the run was. Null: the servers are among the others.</param>
internal sealed record RunUsage(ProcessUse[] Processes, double? ForeignCpuShare);

/// <summary>Reads what processes use, from <c>/proc</c>.</summary>
internal sealed class UsageMeter(TemporaryCluster? cluster)
{
    private readonly (string Name, int Id)[] _processes = cluster is null
        ? [("client", Environment.ProcessId)]
        : [("client", Environment.ProcessId), ("master", cluster.MasterProcess.Id), .. cluster.ChunkServers.Select(s => (s.Name, s.Id))];

    private ProcessUsage[] _before = [];
    private (double Busy, double All) _machineBefore;

    public void Begin()
    {
        _before = [.. _processes.Select(p => ProcessUsage.OfProcess(p.Id))];
        _machineBefore = Machine();
    }

    public RunUsage End()
    {
        var machine = Machine();
        var used = _processes.Select((p, i) => (p.Name, Used: ProcessUsage.OfProcess(p.Id) - _before[i])).ToArray();
        double all = machine.All - _machineBefore.All;
        double foreign = machine.Busy - _machineBefore.Busy - used.Sum(u => u.Used.CpuSeconds);
        return new RunUsage(
            [.. used.Select(u => new ProcessUse(u.Name, Math.Round(u.Used.CpuSeconds, 2), u.Used.WrittenBytes))],
            cluster is null || all <= 0 ? null : Math.Round(Math.Clamp(foreign / all, 0, 1), 3));
    }

    private static (double Busy, double All) Machine()
    {
        try
        {
            return Parse(File.ReadLines("/proc/stat").First());
        }
        catch (IOException)
        {
            return default;
        }
    }

    /// <summary>Seconds, over all processors, from the first line of <c>/proc/stat</c>: user nice system idle iowait irq softirq steal, then what is in user already.</summary>
    internal static (double Busy, double All) Parse(string line)
    {
        var ticks = line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(f => long.Parse(f, CultureInfo.InvariantCulture)).ToArray();
        double all = ticks.Sum() / 100.0;
        return (all - (ticks[3] + ticks[4]) / 100.0, all);
    }
}
