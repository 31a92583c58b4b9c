using System.Diagnostics;
using System.Globalization;
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
    private readonly StreamWriter? _log;
    private readonly Queue<string> _lastErrors = new();   // guarded by itself

    private ServerProcess(string name, Process process, string? logFile)
    {
        Name = name;
        Id = process.Id;
        _process = process;
        _log = logFile is null ? null : new StreamWriter(logFile, append: true) { AutoFlush = true };
        _errors = CollectErrorsAsync();
    }

    public string Name { get; }

    /// <summary>Also when it has ended.</summary>
    public int Id { get; }

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
    /// <param name="logFile">Gets what it writes to standard error, after what is there already; null: only the last lines are kept, in memory.</param>
    /// <exception cref="CommandException">It ended before that, or took too long.</exception>
    public static Task<ServerProcess> StartAsync(
        string name, IEnumerable<string> arguments, TimeProvider time, CancellationToken cancellation, string? logFile = null) =>
        StartAsync(name, CommandOf(arguments), time, cancellation, logFile);

    /// <summary>What is started for <c>semel ARGUMENTS</c>.</summary>
    public static ProcessStartInfo CommandOf(IEnumerable<string> arguments) => OwnProgram.Start([.. arguments, "--json", "--while-stdin-is-open"]);

    /// <summary>Starts a command that <see cref="CommandOf"/> made, or one that ends in becoming it.</summary>
    public static async Task<ServerProcess> StartAsync(
        string name, ProcessStartInfo start, TimeProvider time, CancellationToken cancellation, string? logFile = null)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        var server = new ServerProcess(name, Process.Start(start)!, logFile);
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

    /// <summary>Asks it to stop and waits until it is gone; kills it if it takes longer than 5 s.</summary>
    public async Task StopAsync()
    {
        Signal(SigTerm);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(5), TimeProvider.System);
        try
        {
            await _process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            await KillAsync();
        }
    }

    /// <summary>
    /// Stops it with SIGSTOP until the result is disposed. A shell does both and waits in between for a pipe from here to close, so that the server goes on
    /// (and finds its standard input closed) also when this process is killed meanwhile.
    /// </summary>
    public async Task<IAsyncDisposable> PauseAsync()
    {
        var start = new ProcessStartInfo("/bin/sh") { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])["-c", "kill -STOP $1 && echo stopped; read x; kill -CONT $1", "sh", Id.ToString(CultureInfo.InvariantCulture)])
            start.ArgumentList.Add(argument);
        var shell = Process.Start(start)!;
        await shell.StandardOutput.ReadLineAsync();
        return new Paused(shell);
    }

    /// <summary>Writes a line to its standard input.</summary>
    public async Task TellAsync(string line)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(line);
            await _process.StandardInput.FlushAsync();
        }
        catch (IOException)
        {
            // It is gone; nobody needs to be told.
        }
    }

    /// <summary>CPU seconds (user and system) that it has used; 0 when it is gone.</summary>
    public double CpuSeconds => ProcessorTime.OfProcess(Id);

    /// <summary>Asks it to stop, kills it after a while, waits until it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await _errors;
        _log?.Dispose();
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
            _log?.WriteLine(line);
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

    private sealed class Paused(Process shell) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            shell.StandardInput.Close();
            await shell.WaitForExitAsync();
            shell.Dispose();
        }
    }
}
