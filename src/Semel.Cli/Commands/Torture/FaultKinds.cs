using System.Text;

namespace Semel.Cli.Commands.Torture;

/// <summary>The kinds of faults as people name them.</summary>
internal static class FaultKinds
{
    /// <summary>What a run does when nobody says otherwise.</summary>
    public static IReadOnlyList<FaultKind> All { get; } = Enum.GetValues<FaultKind>();

    /// <summary><c>cold-start</c> for <see cref="FaultKind.ColdStart"/>.</summary>
    public static string NameOf(FaultKind kind)
    {
        var name = new StringBuilder();
        foreach (char letter in kind.ToString())
        {
            if (char.IsUpper(letter) && name.Length > 0)
                name.Append('-');
            name.Append(char.ToLowerInvariant(letter));
        }
        return name.ToString();
    }

    public static FaultKind? Find(string name)
    {
        foreach (var kind in All)
        {
            if (NameOf(kind).Equals(name, StringComparison.OrdinalIgnoreCase))
                return kind;
        }
        return null;
    }
}
