using System.Text;

namespace Semel.Cli.Terminal;

/// <summary>
/// Where a command reads, writes data, and speaks to the person. Data goes to <see cref="Output"/>, everything else to
/// <see cref="Error"/>.
/// </summary>
/// <param name="ErrorIsTerminal">Progress may be drawn.</param>
/// <param name="OutputIsTerminal">A person reads the data: tables instead of lines for programs.</param>
internal sealed record StandardStreams(Stream Input, Stream Output, TextWriter Error, bool ErrorIsTerminal, bool OutputIsTerminal)
{
    public static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false);

    /// <summary>The process's own.</summary>
    public static StandardStreams OfProcess() => new(
        Console.OpenStandardInput(),
        OperatingSystem.IsWindows() ? Console.OpenStandardOutput() : new DescriptorStream(1),
        Console.Error, !Console.IsErrorRedirected, !Console.IsOutputRedirected);

    /// <summary>Lines of text to <see cref="Output"/>; the caller flushes.</summary>
    public StreamWriter NewTextOutput(int bufferBytes = 64 * 1024) => new(Output, Utf8, bufferBytes, leaveOpen: true) { NewLine = "\n" };

    /// <summary>Writes one line of text and flushes it.</summary>
    public void WriteLine(string line)
    {
        Output.Write(Utf8.GetBytes(line + "\n"));
        Output.Flush();
    }
}
