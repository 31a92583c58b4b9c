using Semel.Protocol;
using Semel.Protocol.Wires;
using Semel.Storage.Disks;

namespace Semel.Cli.Terminal;

/// <summary>The one place where failures become exit codes.</summary>
internal static class Failures
{
    /// <summary>The exit code, and what to tell the person.</summary>
    public static (int ExitCode, string Message) Explain(Exception failure) => failure switch
    {
        CommandException e => (e.ExitCode, e.Message),
        AddressUnavailableException e => (ExitCode.Conflict, e.Message),
        DiskFullException e => (ExitCode.Failed, e.Message),
        UnauthorizedAccessException e => (ExitCode.NotPermitted, e.Message),
        OperationCanceledException or TimeoutException => (ExitCode.Temporary, $"Out of time. {failure.Message}"),
        InvariantViolationException e => (ExitCode.Failed, e.Message),
        IOException e => (ExitCode.Failed, e.Message),
        _ => (ExitCode.Failed, failure.ToString()),
    };

    /// <summary>Standard output is a pipe whose reader has gone.</summary>
    public static bool IsClosedOutput(Exception failure) => failure is IOException { HResult: DescriptorStream.BrokenPipe };
}
