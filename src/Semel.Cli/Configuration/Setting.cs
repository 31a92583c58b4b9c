using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using Semel.Cli.Terminal;

namespace Semel.Cli.Configuration;

/// <summary>How a setting's text is read.</summary>
internal enum SettingKind
{
    Text,

    /// <summary><c>host:port</c> or <c>unix:/path</c> to dial.</summary>
    Address,

    /// <summary>As <see cref="Address"/>, to listen on: port 0 takes any free one.</summary>
    ListenAddress,

    /// <summary>As <see cref="ListenAddress"/> with an IP address, or <c>none</c>.</summary>
    HttpAddress,
    Size,
    Duration,
    Number,
    Switch,
    OneOf,
}

/// <summary>
/// One key of a role's configuration: a property of an options object, under the name that the YAML file, the environment
/// (<c>SEMEL_</c> and upper case) and <c>--set</c> use. The default is the property's; the range is its <see cref="RangeAttribute"/>.
/// </summary>
/// <typeparam name="TRole">The role's settings, which lead to the options object.</typeparam>
internal sealed class Setting<TRole> where TRole : new()
{
    private readonly Func<TRole, object> _owner;
    private readonly PropertyInfo _property;

    public Setting(string name, SettingKind kind, Func<TRole, object> owner, string property, string description)
    {
        Name = name;
        Kind = kind;
        Description = description;
        _owner = owner;
        var fresh = new TRole();
        _property = owner(fresh).GetType().GetProperty(property)
            ?? throw new InvalidOperationException($"There is no property {property} for the key '{name}'.");
        Range = _property.GetCustomAttribute<RangeAttribute>();
        Default = Show(fresh);
    }

    public string Name { get; }
    public SettingKind Kind { get; }
    public string Description { get; }

    /// <summary>The default as one would write it; empty: none.</summary>
    public string Default { get; }

    public string PropertyName => _property.Name;

    public string EnvironmentVariable => "SEMEL_" + Name.ToUpperInvariant();

    /// <summary>Values that may be chosen from, for <see cref="SettingKind.OneOf"/>.</summary>
    public string[] Choices => Enum.GetNames(Nullable.GetUnderlyingType(_property.PropertyType) ?? _property.PropertyType).Select(n => n.ToLowerInvariant()).ToArray();

    private RangeAttribute? Range { get; }

    /// <summary>What may be written, for the documentation.</summary>
    public string Values => Kind switch
    {
        SettingKind.Switch => "true, false",
        SettingKind.OneOf => string.Join(", ", Choices),
        SettingKind.Address => "host:port",
        SettingKind.ListenAddress => "host:port; port 0: any free one",
        SettingKind.HttpAddress => "host:port; none: no HTTP",
        SettingKind.Text => "text",
        _ => Range is null ? Kind.ToString().ToLowerInvariant() : $"{ShowBound(Range.Minimum)} to {ShowBound(Range.Maximum)}",
    };

    public string Show(TRole role) => ShowValue(_property.GetValue(_owner(role)));

    /// <summary>Sets the value from its text. Returns what is wrong with it, without the key's name; null: it is set.</summary>
    public string? TrySet(TRole role, string text)
    {
        object? value;
        string? fault = null;
        switch (Kind)
        {
            case SettingKind.Size:
                value = Quantities.TryParseSize(text, out long bytes, out fault) ? bytes : null;
                break;
            case SettingKind.Duration:
                value = Quantities.TryParseDuration(text, out var duration, out fault) ? duration : null;
                break;
            case SettingKind.Number:
                value = long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;
                fault = value is null ? $"'{text}' is not a whole number." : null;
                break;
            case SettingKind.Switch:
                value = bool.TryParse(text, out bool on) ? on : null;
                fault = value is null ? $"'{text}' is neither true nor false." : null;
                break;
            case SettingKind.OneOf:
                value = Choices.Contains(text, StringComparer.OrdinalIgnoreCase) && Enum.TryParse(_property.PropertyType, text, ignoreCase: true, out object? choice) ? choice : null;
                fault = value is null ? $"'{text}' is none of {string.Join(", ", Choices)}." : null;
                break;
            case SettingKind.Address or SettingKind.ListenAddress:
                value = text;
                _ = Addresses.TryValidate(text, anyPort: Kind is SettingKind.ListenAddress, out fault);
                break;
            case SettingKind.HttpAddress:
                value = text;
                if (text != ProcessSettings.NoHttp)
                    _ = Addresses.TryValidate(text, anyPort: true, out fault);
                break;
            default:
                value = text;
                fault = text.Length == 0 ? "it is empty." : null;
                break;
        }
        fault ??= FaultOfRange(value!, text);
        if (fault is null)
            _property.SetValue(_owner(role), Convert(value!));
        return fault;
    }

    private string? FaultOfRange(object value, string text)
    {
        if (Range is null)
            return FaultOfType(value, text);
        bool inside = value switch
        {
            TimeSpan duration => duration >= (TimeSpan)Bound(Range.Minimum) && duration <= (TimeSpan)Bound(Range.Maximum),
            long number => number >= (long)Bound(Range.Minimum) && number <= (long)Bound(Range.Maximum),
            _ => true,
        };
        return inside ? null : $"{text} is out of range. Choose a value from {ShowBound(Range.Minimum)} to {ShowBound(Range.Maximum)}.";
    }

    private string? FaultOfType(object value, string text)
    {
        if (value is not long number)
            return null;
        var type = Nullable.GetUnderlyingType(_property.PropertyType) ?? _property.PropertyType;
        long max = type == typeof(int) ? int.MaxValue : type == typeof(uint) ? uint.MaxValue : long.MaxValue;
        return number >= 0 && number <= max ? null : $"{text} is out of range. Choose a value from 0 to {max}.";
    }

    private object Bound(object bound) => bound switch
    {
        string text when Kind is SettingKind.Duration => TimeSpan.Parse(text, CultureInfo.InvariantCulture),
        TimeSpan duration => duration,
        string text => long.Parse(text, CultureInfo.InvariantCulture),
        _ => System.Convert.ToInt64(bound, CultureInfo.InvariantCulture),
    };

    private string ShowBound(object bound) => Bound(bound) switch
    {
        TimeSpan duration => Quantities.ShowDuration(duration),
        long number when Kind is SettingKind.Size => Quantities.ShowSize(number),
        var number => System.Convert.ToString(number, CultureInfo.InvariantCulture)!,
    };

    private object Convert(object value)
    {
        var type = Nullable.GetUnderlyingType(_property.PropertyType) ?? _property.PropertyType;
        return type.IsInstanceOfType(value) ? value : System.Convert.ChangeType(value, type, CultureInfo.InvariantCulture);
    }

    private string ShowValue(object? value) => value switch
    {
        null => "",
        TimeSpan duration => Quantities.ShowDuration(duration),
        bool on => on ? "true" : "false",
        Enum choice => choice.ToString().ToLowerInvariant(),
        IConvertible number when Kind is SettingKind.Size => Quantities.ShowSize(number.ToInt64(CultureInfo.InvariantCulture)),
        _ => System.Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
