using Microsoft.Extensions.Logging.Abstractions;
using Semel.Cli.Clusters;
using Semel.Cli.Terminal;
using Semel.Master.OperationLog;
using Semel.Storage.Disks;

namespace Semel.Cli.Commands.Torture;

/// <summary>
/// The start of a master whose log was damaged at its end after a clean stop. Nobody else has a copy, so it must wait for its operator, who
/// does what <c>semel log recover</c> does:
/// <list type="number">
/// <item>The master refuses to start.</item>
/// <item>What the checksums prove, a flipped bit, is mended, and the log is what it was, byte for byte.</item>
/// <item>Anything else nothing can prove: the operator puts back a copy of the file as it was last.</item>
/// <item>The master starts.</item>
/// </list>
/// </summary>
/// <param name="say">What is done, for people.</param>
/// <param name="contradict">What must not be.</param>
internal sealed class DamagedLog(ProxiedCluster cluster, Action<string> say, Action<string> contradict)
{
    /// <summary>Returns when the master runs.</summary>
    public async Task StartAsync(Damage damage, CancellationToken cancellation)
    {
        // Step 1.
        if (await RefusalAsync(cancellation) is not { } refusal)
        {
            contradict($"the master started on a damaged log: {damage.What}");
            return;
        }
        // Steps 2 and 3.
        if (await IsMendedAsync())
        {
            say($"the master refuses its damaged log, which is mended: {refusal}");
            if (!damage.IsUndone)
                contradict($"the mended log is not what it was: {damage.What}");
        }
        else
        {
            say($"the master refuses its damaged log, which cannot be mended and is put back: {refusal}");
            if (damage.IsOneBit)
                contradict($"a flipped bit of the log was not mended: {damage.What}");
            damage.Undo();
        }
        // Step 4.
        await cluster.StartAsync(0, cancellation);
    }

    /// <summary>Why the master does not start; null: it runs.</summary>
    private async Task<string?> RefusalAsync(CancellationToken cancellation)
    {
        try
        {
            await cluster.StartAsync(0, cancellation);
            return null;
        }
        catch (CommandException e) when (e.ExitCode == ExitCode.Failed)
        {
            return e.Message;
        }
    }

    private async Task<bool> IsMendedAsync()
    {
        using var log = await OperationLogInspection.OpenAsync(new RealDisk(cluster.DataOf(0)), NullLogger.Instance);
        if (log.Journal.Mendable.Count > 0)
            await log.Journal.MendAsync();
        return log.Journal.Remaining is null;
    }
}
