using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Semel.Cli.Commands;
using Semel.Cli.Terminal;

namespace Semel.Cli;

/// <summary>The command line: reads it, runs the verb, turns whatever happens into an exit code and one message.</summary>
internal static class SemelProgram
{
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, StandardStreams streams)
    {
        using var signals = Signals.Watch();
        try
        {
            return await RunAsync(arguments, streams, signals.Stop);
        }
        catch (OperationCanceledException) when (signals.ExitCode is { } code)
        {
            return code;
        }
    }

    /// <exception cref="OperationCanceledException">The token was cancelled and the verb is a client's.</exception>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, StandardStreams streams, CancellationToken cancellation)
    {
        var run = new VerbRunner(streams, TimeProvider.System, cancellation);
        var root = Verbs.Root(run);
        AddExitCodesToHelp(root);
        // An argument that begins with @ is a name like any other, no file of arguments.
        var parsed = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction)
        {
            foreach (var error in parsed.Errors.DistinctBy(e => e.Message))
                streams.Error.WriteLine($"semel: {error.Message}");
            streams.Error.WriteLine($"Try '{CommandPath(parsed)} --help'.");
            return ExitCode.WrongUsage;
        }
        using var output = streams.NewTextOutput(1024);
        output.AutoFlush = true;
        return await parsed.InvokeAsync(new InvocationConfiguration
        {
            Output = output,
            Error = streams.Error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        }, cancellation);
    }

    private static string CommandPath(ParseResult parsed)
    {
        var names = new List<string>();
        for (var result = parsed.CommandResult; result is not null; result = result.Parent as System.CommandLine.Parsing.CommandResult)
            names.Insert(0, result.Command is RootCommand ? "semel" : result.Command.Name);
        return string.Join(' ', names);
    }

    private static void AddExitCodesToHelp(RootCommand root)
    {
        foreach (var option in root.Options.OfType<HelpOption>())
        {
            option.Action = new HelpWithExitCodes((HelpAction)option.Action!);
            // The library takes these for help, too. Here they are paths of files.
            option.Aliases.Remove("/h");
            option.Aliases.Remove("/?");
        }
    }

    private sealed class HelpWithExitCodes(HelpAction help) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int code = help.Invoke(parseResult);
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine(ExitCode.Help);
            output.Flush();
            return code;
        }
    }
}
