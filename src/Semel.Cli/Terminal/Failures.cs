using Semel.Client;
using Semel.Protocol;
using Semel.Protocol.Wires;
using Semel.Storage.DataDirectories;
using Semel.Storage.Disks;

namespace Semel.Cli.Terminal;

/// <summary>The one place where failures become exit codes.</summary>
internal static class Failures
{
    private const int ShownOperations = 5;

    /// <summary>The exit code, and what to tell the person.</summary>
    public static (int ExitCode, string Message) Explain(Exception failure) => (CodeOf(failure), MessageOf(failure));

    /// <summary>Standard output is a pipe whose reader has gone.</summary>
    public static bool IsClosedOutput(Exception failure) => failure is IOException { HResult: DescriptorStream.BrokenPipe };

    private static int CodeOf(Exception failure) => failure switch
    {
        CommandException e => e.ExitCode,

        // The client library
        PathNotFoundException or WriterNotFoundException => ExitCode.NotFound,
        PathConflictException or PositionOfAnotherFileException => ExitCode.Conflict,
        InvalidPathException or InvalidPositionException or RecordTooLargeException => ExitCode.WrongUsage,
        WriterFencedException or WriterExpiredException or OperationIdReusedException or ClusterRefusedException => ExitCode.Conflict,
        AcknowledgedRecordsLostException or CorruptDataException => ExitCode.VerificationFailed,
        SemelException { InDoubt: true } => ExitCode.OutcomeUnknown,
        AppendCanceledException { InDoubt: true } => ExitCode.OutcomeUnknown,
        SemelException { IsRetryable: true } => ExitCode.Temporary,
        SemelException => ExitCode.Failed,

        // The servers and this process
        AddressUnavailableException or DirectoryInUseException or DataDirectoryException => ExitCode.Conflict,
        UnauthorizedAccessException => ExitCode.NotPermitted,
        OperationCanceledException or TimeoutException => ExitCode.Temporary,
        _ => ExitCode.Failed,
    };

    private static string MessageOf(Exception failure) => failure switch
    {
        AppendInDoubtException e => $"{e.Message} In doubt: {Operations(e)}. Repeating the append under the same writer name is safe.",
        OperationCanceledException or TimeoutException => $"Out of time. {failure.Message}",
        CommandException or IOException or UnauthorizedAccessException or InvariantViolationException => failure.Message,
        _ => failure.ToString(),
    };

    private static string Operations(AppendInDoubtException e) =>
        string.Join(", ", e.Operations.Take(ShownOperations)) + (e.Operations.Count > ShownOperations ? $" and {e.Operations.Count - ShownOperations} more" : "");
}
