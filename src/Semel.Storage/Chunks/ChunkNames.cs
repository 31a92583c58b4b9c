using System.Globalization;
using Semel.Protocol.Identity;
using Semel.Storage.Disks;

namespace Semel.Storage.Chunks;

/// <summary>
/// Where the files of a replica are: <c>chunks/aa/HANDLE.chunk</c> and so on, <c>aa</c> being the last two digits of the handle.
/// </summary>
internal static class ChunkNames
{
    public const string Root = "chunks";

    /// <summary>Follows the name of a file of a copy that is being made beside the replica that it may replace.</summary>
    public const string Copy = ".copy";

    private const int HandleDigits = 16;

    /// <summary>The names that make a replica. It exists when the first does.</summary>
    public static readonly string[] Extensions = ["meta", "chunk", "base"];

    public static string DirectoryOf(ChunkHandle handle) => $"{Root}/{handle.ToString().AsSpan(HandleDigits - 2)}";

    public static string Of(ChunkHandle handle, string extension) => $"{DirectoryOf(handle)}/{handle}.{extension}";

    /// <summary>Handles whose <c>.meta</c> has something at its name, be it a file or not.</summary>
    public static IEnumerable<ChunkHandle> List(IDisk disk)
    {
        foreach (string directory in disk.ListDirectories(Root))
        {
            foreach (string name in disk.ListFiles($"{Root}/{directory}").Concat(disk.ListDirectories($"{Root}/{directory}")).Order(StringComparer.Ordinal))
            {
                if (TryParse(name, ".meta", out var handle))
                    yield return handle;
            }
        }
    }

    /// <summary>The name of a replica's file, with exactly this ending.</summary>
    public static bool TryParse(string name, string ending, out ChunkHandle handle)
    {
        handle = default;
        if (name.Length != HandleDigits + ending.Length || !name.EndsWith(ending, StringComparison.Ordinal)
            || !ulong.TryParse(name.AsSpan(0, HandleDigits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value))
            return false;
        handle = new ChunkHandle(value);
        return name.StartsWith(handle.ToString(), StringComparison.Ordinal);
    }
}
