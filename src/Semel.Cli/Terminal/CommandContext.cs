using System.CommandLine;
using Semel.Protocol.Naming;

namespace Semel.Cli.Terminal;

/// <summary>What a verb gets to work with.</summary>
internal sealed class CommandContext(ParseResult parsed, StandardStreams streams, TimeProvider time, CancellationToken cancellation)
{
    public StandardStreams Streams { get; } = streams;
    public TimeProvider Time { get; } = time;

    /// <summary>Cancelled by a signal.</summary>
    public CancellationToken Cancellation { get; } = cancellation;

    public bool Json => parsed.GetValue(GlobalOptions.Json);

    /// <summary>Progress and tables are for people at a terminal.</summary>
    public bool ShowsProgress => Streams.ErrorIsTerminal && !Json;

    public string Master => GlobalOptions.MasterAddress(parsed);

    public TimeSpan? Timeout => parsed.GetValue(GlobalOptions.Timeout);

    public T Get<T>(Option<T> option) => parsed.GetValue(option)!;

    public T Get<T>(Argument<T> argument) => parsed.GetValue(argument)!;

    /// <summary>The person gave the option (and did not get its default).</summary>
    public bool IsGiven(Option option) => parsed.GetResult(option) is { Implicit: false };

    /// <summary>A path in the cluster.</summary>
    /// <exception cref="CommandException">It breaks a rule for paths.</exception>
    public string Path(Argument<string> argument)
    {
        string path = Get(argument);
        return FilePath.TryValidate(path, out string? fault) ? path : throw CommandException.Usage(fault);
    }

    public void Say(string text) => Streams.Error.WriteLine(text);
}
