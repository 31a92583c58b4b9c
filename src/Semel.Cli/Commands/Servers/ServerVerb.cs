using System.CommandLine;
using Microsoft.Extensions.Logging;
using Semel.Cli.Configuration;
using Semel.Cli.Hosting;
using Semel.Cli.Terminal;

namespace Semel.Cli.Commands.Servers;

/// <summary>What a server process says when it takes calls: the one line of <c>--json</c>.</summary>
internal sealed record ReadyLine(string Role, string Address, string? Http, string? ClusterId, string Data);

/// <summary>
/// Runs a server until a signal, which ends it cleanly with exit code 0, or until its core fails, which ends it with exit code 1.
/// </summary>
internal static class ServerVerb
{
    public static readonly Option<bool> WhileStdinIsOpen = new("--while-stdin-is-open") { Description = "Stop when standard input ends.", Hidden = true };

    /// <summary>Lines <c>clock MS</c> on standard input set the wall clock that this server sees off by so many milliseconds: for <c>semel torture</c>.</summary>
    public static readonly Option<bool> ClockFromStdin = new("--clock-from-stdin") { Description = "Let standard input shift the clock.", Hidden = true };

    /// <param name="servers">How many servers <paramref name="serve"/> starts in this process.</param>
    public static async Task<int> RunAsync<TSettings>(CommandContext context, TSettings settings, Func<ServerRun, TSettings, Task> serve, int servers = 1)
        where TSettings : ProcessSettings
    {
        var clock = context.Get(ClockFromStdin) ? new ShiftedClock(context.Time) : null;
        using var stop = context.Get(WhileStdinIsOpen)
            ? ParentWatch.WhileOpen(context.Streams.Input, clock is null ? null : clock.Obey, context.Cancellation)
            : CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        using var loggers = ServerLogging.Create(settings.LogLevel, settings.LogFormat);
        int limit = OpenFileShare.LimitOfThisProcess();
        var share = OpenFileShare.Of(limit, servers);
        if (share.IsTight)
            loggers.CreateLogger("Semel.Process").FewOpenFiles(limit, share.Connections, share.DiskFiles);
        try
        {
            var cores = new CoreWatch(context.Time, loggers.CreateLogger("Semel.Process"), stop.Token);
            await cores.UntilEndOfAsync(serve(new ServerRun(context, share, clock ?? context.Time, loggers, cores, stop.Token), settings));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Stopped while it was starting.
        }
        return ExitCode.Done;
    }
}

/// <summary>What a server needs while it runs.</summary>
internal sealed class ServerRun(CommandContext context, OpenFileShare share, TimeProvider time, ILoggerFactory loggers, CoreWatch cores, CancellationToken stop)
{
    /// <summary>For each server of the process.</summary>
    public OpenFileShare Share { get; } = share;

    public TimeProvider Time { get; } = time;
    public ILoggerFactory Loggers { get; } = loggers;
    public CoreWatch Cores { get; } = cores;
    public CancellationToken Stop { get; } = stop;

    public async Task<HttpEndpoint?> StartHttpAsync(ProcessSettings settings, IProcessStatus status) =>
        settings.HasHttp ? await HttpEndpoint.StartAsync(settings.Http, Share.HttpConnections, status, Cores, Time, Loggers, Stop) : null;

    public void SayReady(ReadyLine ready)
    {
        if (context.Json)
        {
            context.Streams.WriteLine(JsonLine.Of(ready));
            return;
        }
        context.Streams.WriteLine($"{ready.Role} takes calls on {ready.Address}, data in {Path.GetFullPath(ready.Data)}");
        if (ready.Http is not null)
            context.Streams.WriteLine($"http://{ready.Http}/");
        context.Streams.WriteLine("ready");
    }

    /// <summary>Returns when the server is to stop; fails when a core or <paramref name="watch"/> does.</summary>
    public async Task StoppedAsync(Func<CancellationToken, Task>? watch = null)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = Stop.Register(() => stopped.TrySetResult());
        if (watch is not null)
            _ = FailWithAsync(watch, stopped);
        await Task.WhenAny(stopped.Task, Cores.Failed);
        if (Cores.Fault is not null)
            await Task.Delay(CoreWatch.TellingTime, Time, Stop);
        else
            await stopped.Task;
    }

    private async Task FailWithAsync(Func<CancellationToken, Task> watch, TaskCompletionSource stopped)
    {
        try
        {
            await watch(Stop);
        }
        catch (CommandException e)
        {
            stopped.TrySetException(e);
        }
        catch (OperationCanceledException)
        {
            // Stopped meanwhile.
        }
    }
}
