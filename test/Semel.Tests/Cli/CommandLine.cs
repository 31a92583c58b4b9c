using System.Text;
using Semel.Cli;
using Semel.Cli.Terminal;

namespace Semel.Tests.Cli;

/// <summary>Runs the program in this process, as a program would: no terminal.</summary>
internal static class CommandLine
{
    internal sealed record Result(int ExitCode, string Output, string Error);

    public static Task<Result> RunAsync(params string[] arguments) => RunAsync(Stream.Null, arguments);

    public static async Task<Result> RunAsync(Stream input, params string[] arguments)
    {
        using var output = new MemoryStream();
        using var error = new StringWriter();
        int code = await SemelProgram.RunAsync(arguments, new StandardStreams(input, output, error, false, false), TestContext.Current.CancellationToken);
        return new Result(code, Encoding.UTF8.GetString(output.ToArray()), error.ToString());
    }
}
