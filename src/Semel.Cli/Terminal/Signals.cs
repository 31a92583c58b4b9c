using System.Runtime.InteropServices;

namespace Semel.Cli.Terminal;

/// <summary>
/// Turns the first SIGINT, SIGTERM or SIGHUP into a cancellation; a second one ends the process at once.
/// </summary>
internal sealed class Signals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _exitCode;

    public static Signals Watch()
    {
        var signals = new Signals();
        signals.On(PosixSignal.SIGINT, Terminal.ExitCode.Interrupted);
        signals.On(PosixSignal.SIGTERM, Terminal.ExitCode.Terminated);
        signals.On(PosixSignal.SIGHUP, Terminal.ExitCode.Terminated);
        return signals;
    }

    public CancellationToken Stop => _stop.Token;

    /// <summary>130 or 143 after a signal; null before.</summary>
    public int? ExitCode => Volatile.Read(ref _exitCode) is var code and not 0 ? code : null;

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _stop.Dispose();
    }

    private void On(PosixSignal signal, int exitCode) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        if (Interlocked.CompareExchange(ref _exitCode, exitCode, 0) != 0)
            Environment.Exit(exitCode);
        _stop.Cancel();
    }));
}
