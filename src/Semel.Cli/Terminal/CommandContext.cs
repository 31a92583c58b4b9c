using System.CommandLine;
using Semel.Client;
using Semel.Protocol.Naming;

namespace Semel.Cli.Terminal;

/// <summary>What a verb gets to work with.</summary>
internal sealed class CommandContext(ParseResult parsed, StandardStreams streams, TimeProvider time, CancellationToken cancellation)
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

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
    public string Path(Argument<string> argument) => Checked(Get(argument));

    /// <exception cref="CommandException">The path breaks a rule for paths.</exception>
    public static string Checked(string path) => FilePath.TryValidate(path, out string? fault) ? path : throw CommandException.Usage(fault);

    /// <summary>A client of the cluster that <c>--master</c> names.</summary>
    public SemelClient Connect() => SemelClient.Connect(Master, new SemelClientOptions { OperationTimeout = Timeout ?? DefaultTimeout });

    public void Say(string text) => Streams.Error.WriteLine(text);
}
