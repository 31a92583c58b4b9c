using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Semel.Cli.Terminal;

/// <summary>Options whose values are checked while the command line is read, so that every fault is a usage error.</summary>
internal static class Parsing
{
    public static Option<TimeSpan?> Duration(Option<TimeSpan?> option)
    {
        option.CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!Quantities.TryParseDuration(text, out var duration, out string? fault))
                result.AddError($"{option.Name}: {fault}");
            else if (duration <= TimeSpan.Zero)
                result.AddError($"{option.Name}: '{text}' is not longer than nothing.");
            return duration;
        };
        return option;
    }

    /// <summary>A size in bytes from <paramref name="min"/> to <paramref name="max"/>.</summary>
    public static Option<long> Size(string name, long fallback, long min, long max, string description)
    {
        var option = new Option<long>(name) { Description = description, HelpName = "BYTES", DefaultValueFactory = _ => fallback };
        option.CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!Quantities.TryParseSize(text, out long bytes, out string? fault))
                result.AddError($"{name}: {fault}");
            else if (bytes < min || bytes > max)
                result.AddError($"{name}: {text} is out of range. Choose a size from {Quantities.ShowSize(min)} to {Quantities.ShowSize(max)}.");
            return bytes;
        };
        return option;
    }

    /// <summary>A whole number from <paramref name="min"/> to <paramref name="max"/>.</summary>
    public static Option<long> Number(string name, long fallback, long min, long max, string description)
    {
        var option = new Option<long>(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => fallback };
        option.CustomParser = result => ReadNumber(result, name, min, max);
        return option;
    }

    /// <summary>As <see cref="Number"/>; null when it is not given.</summary>
    public static Option<long?> OptionalNumber(string name, long min, long max, string description)
    {
        var option = new Option<long?>(name) { Description = description, HelpName = "N" };
        option.CustomParser = result => ReadNumber(result, name, min, max);
        return option;
    }

    /// <summary>One of an enumeration's names, in lower case.</summary>
    public static Option<T> Choice<T>(string name, T fallback, string description) where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];
        var option = new Option<T>(name) { Description = description, HelpName = string.Join('|', names), DefaultValueFactory = _ => fallback };
        option.CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (names.Contains(text, StringComparer.OrdinalIgnoreCase))
                return Enum.Parse<T>(text, ignoreCase: true);
            result.AddError($"{name}: '{text}' is none of {string.Join(", ", names)}.");
            return fallback;
        };
        option.CompletionSources.Clear();
        option.CompletionSources.Add(names);
        return option;
    }

    private static long ReadNumber(ArgumentResult result, string name, long min, long max)
    {
        string text = result.Tokens[0].Value;
        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
            result.AddError($"{name}: '{text}' is not a whole number.");
        else if (value < min || value > max)
            result.AddError($"{name}: {text} is out of range. Choose a number from {min} to {max}.");
        return value;
    }
}
