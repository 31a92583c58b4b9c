using Semel.Cli;
using Semel.Cli.Terminal;

return await SemelProgram.RunAsync(args, StandardStreams.OfProcess());
