using Semel.Cli.Terminal;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Semel.Cli.Configuration;

/// <summary>A key and its value as they stand in a configuration file.</summary>
/// <param name="Place"><c>file:line</c>, for messages.</param>
internal readonly record struct YamlEntry(string Key, string Value, string Place);

/// <summary>
/// Reads a configuration file: one YAML mapping of keys to plain values. Anything else that YAML allows (lists, anchors, tags, several documents)
/// is refused with its place.
/// </summary>
internal static class YamlSettings
{
    /// <summary>A configuration larger than this is a mistake.</summary>
    private const long MaxBytes = 1 << 20;

    /// <exception cref="CommandException">The file cannot be read.</exception>
    public static List<YamlEntry> ReadFile(string file, List<string> faults)
    {
        try
        {
            if (new FileInfo(file) is { Exists: true, Length: > MaxBytes })
                throw CommandException.Usage($"The configuration {file} is larger than 1 MiB. Is it the right file?");
            return Read(File.ReadAllText(file), file, faults);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw CommandException.Usage($"There is no configuration file {file}. 'semel config example ROLE' prints one to begin with.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CommandException.Usage($"The configuration {file} cannot be read: {e.Message}");
        }
    }

    public static List<YamlEntry> Read(string text, string file, List<string> faults)
    {
        var entries = new List<YamlEntry>();
        try
        {
            var parser = new Parser(new StringReader(text));
            parser.Consume<StreamStart>();
            if (parser.Accept<StreamEnd>(out _))
                return entries;
            parser.Consume<DocumentStart>();
            if (parser.TryConsume<Scalar>(out var empty) && empty.Value.Length == 0)
                return entries;
            if (!parser.TryConsume<MappingStart>(out _))
            {
                faults.Add($"{At(file, parser.Current!.Start)}: expected 'key: value' lines.");
                return entries;
            }
            var seen = new HashSet<string>(StringComparer.Ordinal);
            while (!parser.TryConsume<MappingEnd>(out _))
            {
                if (!parser.TryConsume<Scalar>(out var key))
                {
                    faults.Add($"{At(file, parser.Current!.Start)}: expected a key.");
                    return entries;
                }
                if (!parser.TryConsume<Scalar>(out var value))
                {
                    faults.Add($"{At(file, key.Start)}: '{key.Value}' needs one plain value, not a list or a mapping.");
                    parser.SkipThisAndNestedEvents();
                    continue;
                }
                if (seen.Add(key.Value))
                    entries.Add(new YamlEntry(key.Value, value.Value, At(file, key.Start)));
                else
                    faults.Add($"{At(file, key.Start)}: '{key.Value}' stands here a second time. Remove one of the two.");
            }
            parser.Consume<DocumentEnd>();
            if (!parser.Accept<StreamEnd>(out _))
                faults.Add($"{At(file, parser.Current!.Start)}: a second document; put all keys into the first one.");
        }
        catch (YamlException e)
        {
            faults.Add($"{At(file, e.Start)}: not valid YAML: {e.InnerException?.Message ?? e.Message}");
        }
        return entries;
    }

    private static string At(string file, Mark mark) => $"{file}:{mark.Line}";
}
