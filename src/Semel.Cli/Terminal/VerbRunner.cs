using System.CommandLine;

namespace Semel.Cli.Terminal;

/// <summary>Runs a verb and turns its failures into an exit code and one message on standard error.</summary>
internal sealed class VerbRunner(StandardStreams streams, TimeProvider time, CancellationToken cancellation)
{
    /// <summary>Makes <paramref name="body"/> the command's action.</summary>
    public Command Runs(Command command, Func<CommandContext, Task<int>> body)
    {
        command.SetAction((parsed, _) => RunAsync(new CommandContext(parsed, streams, time, cancellation), body));
        return command;
    }

    /// <summary>As the other, for verbs that either succeed or throw.</summary>
    public Command Runs(Command command, Func<CommandContext, Task> body) => Runs(command, async context =>
    {
        await body(context);
        return ExitCode.Done;
    });

    private async Task<int> RunAsync(CommandContext context, Func<CommandContext, Task<int>> body)
    {
        try
        {
            return await body(context);
        }
        catch (Exception e) when (e is OperationCanceledException && cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException(e.Message, e, cancellation);
        }
        catch (Exception e) when (Failures.IsClosedOutput(e))
        {
            // Whoever read the output has enough: semel cat ... | head.
            return ExitCode.Done;
        }
        catch (Exception e)
        {
            var (code, message) = Failures.Explain(e);
            streams.Error.WriteLine($"semel: {message}");
            return code;
        }
    }
}
