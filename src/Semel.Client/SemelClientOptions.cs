using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Semel.Client;

/// <summary>How a <see cref="SemelClient"/> behaves. Read once, when the client is made.</summary>
public sealed class SemelClientOptions
{
    /// <summary>
    /// How long an operation (create, list, open a writer, one step of reading) may take in all, retries included. 10 ms to 1 h; default 30 s.
    /// Appends are bounded by <see cref="WriterOptions.AppendTimeout"/> instead.
    /// </summary>
    public TimeSpan OperationTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes that a reader asks for at a time, twice of which it holds. 4 KiB to 16 MiB; default 1 MiB.</summary>
    public int ReadBlockBytes { get; set; } = 1 << 20;

    /// <summary>Where the client logs (events 3000 to 3999). Default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; set; } = NullLoggerFactory.Instance;

    internal void Validate()
    {
        Options.InRange(OperationTimeout, TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(1), nameof(OperationTimeout));
        Options.InRange(ReadBlockBytes, 4 << 10, 16 << 20, nameof(ReadBlockBytes));
        ArgumentNullException.ThrowIfNull(LoggerFactory);
    }
}

/// <summary>Checks that name the option, its value and its range.</summary>
internal static class Options
{
    public static void InRange<T>(T value, T least, T most, string name) where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
            throw new ArgumentOutOfRangeException(name, value, $"{name} is {value}; it must be between {least} and {most}.");
    }
}
