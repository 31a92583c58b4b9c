using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Semel.Cli.Terminal;

/// <summary>Sizes and durations as people write them: <c>64MiB</c>, <c>1048576</c>, <c>500ms</c>, <c>30s</c>, <c>2m</c>.</summary>
internal static class Quantities
{
    private static readonly (string Suffix, long Factor)[] Sizes =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1),
    ];

    private static readonly (string Suffix, double Seconds)[] Durations =
    [
        ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400),
    ];

    public static bool TryParseSize(string text, out long bytes, [NotNullWhen(false)] out string? fault)
    {
        var (suffix, factor) = Sizes.FirstOrDefault(s => text.EndsWith(s.Suffix, StringComparison.OrdinalIgnoreCase), ("", 1));
        fault = TryScale(text[..^suffix.Length].TrimEnd(), factor, out bytes)
            ? null
            : $"'{text}' is not a size. Write a whole number of bytes, or with a unit: 1048576, 64MiB, 1GB.";
        return fault is null;
    }

    public static bool TryParseDuration(string text, out TimeSpan duration, [NotNullWhen(false)] out string? fault)
    {
        fault = null;
        foreach (var (suffix, seconds) in Durations)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal)
                && double.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count)
                && count * seconds < TimeSpan.MaxValue.TotalSeconds / 2)
            {
                duration = TimeSpan.FromSeconds(count * seconds);
                return true;
            }
        }
        duration = default;
        fault = $"'{text}' is not a duration. Write a number and a unit: 500ms, 30s, 2m, 1h.";
        return false;
    }

    /// <summary>The shortest exact form: <c>64MiB</c>, <c>1000B</c> as <c>1000</c>.</summary>
    public static string ShowSize(long bytes)
    {
        foreach (var (suffix, factor) in Sizes.Take(4).Reverse())
        {
            if (bytes >= factor && bytes % factor == 0)
                return string.Create(CultureInfo.InvariantCulture, $"{bytes / factor}{suffix}");
        }
        return bytes.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>The shortest exact form: <c>250ms</c>, <c>3s</c>, <c>2m</c>.</summary>
    public static string ShowDuration(TimeSpan duration)
    {
        double ms = duration.TotalMilliseconds;
        if (ms == 0)
            return "0s";
        if (ms % 60_000 == 0 && ms < 3_600_000)
            return string.Create(CultureInfo.InvariantCulture, $"{ms / 60_000}m");
        if (ms % 3_600_000 == 0)
            return string.Create(CultureInfo.InvariantCulture, $"{ms / 3_600_000}h");
        return ms % 1000 == 0
            ? string.Create(CultureInfo.InvariantCulture, $"{ms / 1000}s")
            : string.Create(CultureInfo.InvariantCulture, $"{ms}ms");
    }

    /// <summary>For people: <c>1.5 GiB</c>.</summary>
    public static string Approximate(double bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        int unit = 0;
        for (; bytes >= 1024 && unit < units.Length - 1; unit++)
            bytes /= 1024;
        return bytes.ToString(unit == 0 ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + units[unit];
    }

    private static bool TryScale(string number, long factor, out long bytes)
    {
        bool fits = long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long count) && count <= long.MaxValue / factor;
        bytes = fits ? count * factor : 0;
        return fits;
    }
}
