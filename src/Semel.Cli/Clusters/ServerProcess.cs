using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Semel.Cli.Terminal;

namespace Semel.Cli.Clusters;

/// <summary>
/// A server that this process started: the same program with the verb of a role. It ends when this process does, however that comes about, because its
/// standard input ends then (<c>--while-stdin-is-open</c>).
/// </summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private const int SigKill = 9;
    private const int SigTerm = 15;
    private const int LastLines = 20;

    private readonly Process _process;
    private readonly Task _errors;
    private readonly Queue<string> _lastErrors = new();   // guarded by itself

    private ServerProcess(string name, Process process)
    {
        Name = name;
        _process = process;
        _errors = CollectErrorsAsync();
    }

    public string Name { get; }
    public int Id => _process.Id;

    /// <summary>Where it takes calls.</summary>
    public string Address { get; private set; } = "";

    public bool HasExited => _process.HasExited;

    /// <summary>The last lines that it wrote to standard error.</summary>
    public string LastErrors
    {
        get
        {
            lock (_lastErrors)
                return string.Join('\n', _lastErrors);
        }
    }

    /// <summary>Starts <c>semel ARGUMENTS</c> and waits until it takes calls.</summary>
    /// <exception cref="CommandException">It ended before that, or took too long.</exception>
    public static async Task<ServerProcess> StartAsync(string name, IEnumerable<string> arguments, TimeProvider time, CancellationToken cancellation)
    {
        var start = OwnProgram.Start([.. arguments, "--json", "--while-stdin-is-open"]);
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        var server = new ServerProcess(name, Process.Start(start)!);
        try
        {
            string? line = await server._process.StandardOutput.ReadLineAsync(cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), time, cancellation);
            if (line is null)
            {
                await server._errors.WaitAsync(TimeSpan.FromSeconds(5), time, cancellation);
                throw new CommandException(ExitCode.Failed, $"The {name} ended before it was ready:\n{server.LastErrors}");
            }
            using var ready = JsonDocument.Parse(line);
            server.Address = ready.RootElement.GetProperty("address").GetString()!;
            return server;
        }
        catch (Exception e)
        {
            await server.DisposeAsync();
            if (e is TimeoutException)
                throw new CommandException(ExitCode.Temporary, $"The {name} was not ready after 60 s:\n{server.LastErrors}");
            throw;
        }
    }

    /// <summary>Ends it without a chance to clean up, and waits until it is gone.</summary>
    public async Task KillAsync()
    {
        Signal(SigKill);
        await _process.WaitForExitAsync();
    }

    /// <summary>CPU seconds (user and system) that it has used; 0 when it is gone.</summary>
    public double CpuSeconds => ProcessorTime.OfProcess(Id);

    /// <summary>Asks it to stop, kills it after a while, waits until it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        Signal(SigTerm);
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5), TimeProvider.System))
        {
            try
            {
                await _process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                Signal(SigKill);
                await _process.WaitForExitAsync();
            }
        }
        await _errors;
        _process.Dispose();
    }

    /// <summary>A process that was not waited for keeps its id, so that the signal cannot meet a stranger.</summary>
    private void Signal(int signal)
    {
        if (_process.HasExited)
            return;
        if (OperatingSystem.IsWindows())
            _process.Kill();
        else
            _ = Kill(_process.Id, signal);
    }

    private async Task CollectErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            lock (_lastErrors)
            {
                _lastErrors.Enqueue(line);
                if (_lastErrors.Count > LastLines)
                    _lastErrors.Dequeue();
            }
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int pid, int signal);
}
