namespace Semel.Transport.Connections;

/// <summary>Texts that a peer sent, for logs and terminals.</summary>
internal static class Printable
{
    public const int LongestText = 500;

    /// <summary>The text without control characters, and not longer than <see cref="LongestText"/>.</summary>
    public static string Of(string text) =>
        string.Create(Math.Min(text.Length, LongestText), text, static (target, source) =>
        {
            for (int i = 0; i < target.Length; i++)
                target[i] = char.IsControl(source[i]) ? '?' : source[i];
        });
}
