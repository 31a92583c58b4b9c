using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Semel.Protocol.Naming;

/// <summary>
/// The name of a file or directory in the cluster: <c>/</c>, or <c>/a/b</c>. Absolute, UTF-8, components of 1 to 255 bytes,
/// at most 4,096 bytes; no <c>.</c> or <c>..</c>, no control characters, no doubled or trailing slash.
/// </summary>
public static class FilePath
{
    public const int MaxBytes = 4096;
    public const int MaxComponentBytes = 255;

    /// <summary>Checks a path as it comes from a person or a peer. The fault names the value and the rule.</summary>
    public static bool TryValidate(string? path, [NotNullWhen(false)] out string? fault)
    {
        fault = FaultOf(path);
        return fault is null;
    }

    private static string? FaultOf(string? path)
    {
        if (string.IsNullOrEmpty(path))
            return "The path is empty. Give an absolute path such as /logs/app.";
        string shown = Show(path);
        if (path[0] != '/')
            return $"The path {shown} is not absolute. Begin it with a slash: /{shown.Trim('\'')}.";
        if (path == "/")
            return null;
        if (Encoding.UTF8.GetByteCount(path) is > MaxBytes and var bytes)
            return $"The path {shown} has {bytes} bytes; {MaxBytes} are allowed.";
        foreach (var component in path[1..].Split('/'))
        {
            if (component.Length == 0)
                return $"The path {shown} has an empty component: remove the doubled or trailing slash.";
            if (component is "." or "..")
                return $"The path {shown} has the component '{component}', which is not a name here. Give the path that you mean in full.";
            if (Encoding.UTF8.GetByteCount(component) is > MaxComponentBytes and var length)
                return $"The path {shown} has a component of {length} bytes; {MaxComponentBytes} are allowed.";
            foreach (char c in component)
            {
                if (char.IsControl(c))
                    return $"The path {shown} has the control character U+{(int)c:X4}. Remove it.";
            }
            for (int i = 0; i < component.Length; i++)
            {
                if (!char.IsSurrogate(component[i]))
                    continue;
                if (i + 1 < component.Length && char.IsSurrogatePair(component[i], component[i + 1]))
                    i++;
                else
                    return $"The path {shown} is not valid Unicode.";
            }
        }
        return null;
    }

    /// <summary>The path's components, outermost first; none for the root. The path must be valid.</summary>
    public static string[] Split(string path) => path == "/" ? [] : path[1..].Split('/');

    /// <summary>Quoted, shortened and without control characters, for messages.</summary>
    private static string Show(string path)
    {
        var text = new StringBuilder();
        foreach (char c in path.Length > 80 ? path[..77] + "..." : path)
            text.Append(char.IsControl(c) ? '?' : c);
        return $"'{text}'";
    }
}
