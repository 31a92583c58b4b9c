using Microsoft.Extensions.Logging;

namespace Semel.Simulation.Kernel;

/// <summary>
/// Puts what a process logs into the run's trace, under its name and the virtual time. Every event that is worth an operator's attention is a mark of the run's
/// coverage: what the suite never made a server say, it has not tested.
/// </summary>
/// <param name="process">Whose log it is.</param>
/// <param name="watch">Sees the number of every event.</param>
internal sealed class SimulatedLogging(SimulatedProcess process, Action<int>? watch = null) : ILoggerFactory
{
    public ILogger CreateLogger(string categoryName) => new Logger(process, watch);
    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("The trace is the only log of a simulation.");
    public void Dispose() { }

    private sealed class Logger(SimulatedProcess process, Action<int>? watch) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
        public bool IsEnabled(LogLevel logLevel) => process.World.IsTracing || logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel) || !process.IsAlive)
                return;
            if (logLevel >= LogLevel.Information)
                process.World.Reached($"event {eventId.Id} {eventId.Name}");
            watch?.Invoke(eventId.Id);
            if (!process.World.IsTracing)
                return;
            process.World.Tell(process.Name, $"[{logLevel}] {formatter(state, exception)}{(exception is null ? "" : $" -- {exception}")}");
        }
    }
}
