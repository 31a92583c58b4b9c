namespace Semel.Simulation.Runs;

/// <summary>One incarnation of a writer in a random run.</summary>
internal interface IRunWriter
{
    /// <summary>Ends when all records are acknowledged, or the incarnation is fenced.</summary>
    Task RunAsync();

    /// <summary>A newer incarnation took over.</summary>
    bool IsFenced { get; }
}
