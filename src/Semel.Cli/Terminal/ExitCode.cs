namespace Semel.Cli.Terminal;

/// <summary>What <c>semel</c> tells the program that started it. The numbers are API.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int WrongUsage = 2;
    public const int NotFound = 3;
    public const int Conflict = 4;
    public const int Temporary = 5;
    public const int OutcomeUnknown = 6;
    public const int NotPermitted = 7;
    public const int VerificationFailed = 8;
    public const int Interrupted = 130;
    public const int Terminated = 143;

    /// <summary>The table as <c>--help</c> shows it.</summary>
    public const string Help = """
        Exit codes:
          0    done
          1    failed
          2    wrong usage or configuration
          3    not found
          4    exists already, or in conflict (a port or data directory in use, another cluster)
          5    temporary: unavailable or out of time; trying again may help
          6    outcome unknown: safe to repeat with the printed operation id
          7    not permitted
          8    verification failed: lost, duplicated, different or damaged records
          130  interrupted (Ctrl-C); servers stop cleanly and return 0
          143  terminated (SIGTERM); servers stop cleanly and return 0
        """;
}

/// <summary>A failure that the person at the terminal can act on: the message says what went wrong, with which value, and what to do.</summary>
internal sealed class CommandException(int exitCode, string message, Exception? inner = null) : Exception(message, inner)
{
    public int ExitCode { get; } = exitCode;

    public static CommandException Usage(string message) => new(Terminal.ExitCode.WrongUsage, message);
}
