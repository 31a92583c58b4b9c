using System.ComponentModel.DataAnnotations;
using System.Text;
using System.Text.RegularExpressions;
using Semel.Cli.Terminal;

namespace Semel.Cli.Configuration;

/// <summary>
/// Everything that a role can be told, and how it is told: defaults, below the YAML file, below the environment, below flags. Unknown keys of the file
/// and of flags are refused with the nearest known one; all faults are reported at once.
/// </summary>
/// <param name="role"><c>master</c> or <c>chunkserver</c>.</param>
/// <param name="settings">All keys.</param>
/// <param name="options">The role's options, which know what must hold between several of them.</param>
internal sealed class RoleSchema<TRole>(string role, IReadOnlyList<Setting<TRole>> settings, Func<TRole, object> options) where TRole : new()
{
    public string Role { get; } = role;
    public IReadOnlyList<Setting<TRole>> Settings { get; } = settings;

    /// <param name="file">Null: no file.</param>
    /// <param name="environment">Looks a variable up.</param>
    /// <param name="flags">Key and value, in order.</param>
    /// <exception cref="CommandException">Names each fault with its place.</exception>
    public TRole Load(string? file, Func<string, string?> environment, IEnumerable<(string Key, string Value, string Flag)> flags)
    {
        var faults = new List<string>();
        var role = new TRole();
        if (file is not null)
        {
            foreach (var entry in YamlSettings.ReadFile(file, faults))
                Set(role, entry.Key, entry.Value, $"{entry.Place}: ", faults);
        }
        foreach (var setting in Settings)
        {
            if (environment(setting.EnvironmentVariable) is { Length: > 0 } value && setting.TrySet(role, value) is { } fault)
                faults.Add($"{setting.EnvironmentVariable}: {fault}");
        }
        foreach (var (key, value, flag) in flags)
            Set(role, key, value, $"{flag}: ", faults);
        if (faults.Count == 0)
            faults.AddRange(FaultsBetween(role));
        return faults.Count == 0 ? role : throw CommandException.Usage(string.Join("\n", faults));
    }

    /// <summary>The effective configuration as YAML.</summary>
    public string Show(TRole role)
    {
        var text = new StringBuilder();
        foreach (var setting in Settings)
        {
            string value = setting.Show(role);
            text.Append(value.Length == 0 ? $"# {setting.Name}:" : $"{setting.Name}: {value}").Append('\n');
        }
        return text.ToString();
    }

    /// <summary>A file to begin with: every key, its meaning, its default.</summary>
    public string Example()
    {
        var text = new StringBuilder($"# Configuration of a Semel {Role}: semel {Role} --config {Role}.yaml\n# What is commented out has the value shown.\n");
        foreach (var setting in Settings)
        {
            text.Append($"\n# {setting.Description}\n# Values: {setting.Values}.\n");
            text.Append(setting.Default.Length == 0 ? $"# {setting.Name}:\n" : $"# {setting.Name}: {setting.Default}\n");
        }
        return text.ToString();
    }

    /// <summary>The table of <c>docs/configuration.md</c>.</summary>
    public string DocumentationTable()
    {
        var text = new StringBuilder("| key | default | values | meaning |\n|---|---|---|---|\n");
        foreach (var setting in Settings)
            text.Append($"| `{setting.Name}` | {(setting.Default.Length == 0 ? "" : $"`{setting.Default}`")} | {setting.Values} | {setting.Description} |\n");
        return text.ToString();
    }

    /// <summary>What the options themselves find wrong, in the words of the keys.</summary>
    private IEnumerable<string> FaultsBetween(TRole role)
    {
        var results = new List<ValidationResult>();
        Validator.TryValidateObject(options(role), new ValidationContext(options(role)), results, validateAllProperties: true);
        var names = Settings.ToDictionary(s => s.PropertyName, s => s.Name);
        return results.Select(r => Regex.Replace(r.ErrorMessage ?? "", "[A-Za-z]+", word => names.GetValueOrDefault(word.Value, word.Value)));
    }

    private void Set(TRole role, string key, string value, string place, List<string> faults)
    {
        var setting = Settings.FirstOrDefault(s => s.Name == key);
        if (setting is null)
            faults.Add($"{place}there is no key '{key}' for a {Role}. Did you mean '{NearestName.Of(key, Settings.Select(s => s.Name))}'?");
        else if (setting.TrySet(role, value) is { } fault)
            faults.Add($"{place}{key}: {fault}");
    }
}
