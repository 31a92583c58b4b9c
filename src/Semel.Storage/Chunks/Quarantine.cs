using System.Globalization;
using Semel.Protocol.Identity;
using Semel.Storage.Disks;

namespace Semel.Storage.Chunks;

/// <summary>
/// The directory <c>quarantine/</c> of a data directory: what lay in a replica's place and is none. It is kept for people, and its place is
/// free for a repair. Nothing here is ever read again or deleted by Semel.
/// </summary>
public static class Quarantine
{
    public const string Directory = "quarantine";

    /// <summary>How many things lie there.</summary>
    public static int Count(IDisk disk) => Names(disk).Count();

    /// <summary>
    /// Moves whatever has a name of the replica, whatever it is, to <c>quarantine/HANDLE.N.chunk</c> and so on; durable on return. The
    /// number is one that nothing there has yet.
    /// </summary>
    /// <returns>The new names; empty: nothing was there.</returns>
    /// <exception cref="IOException">It cannot be moved. Some of it may have been.</exception>
    public static async ValueTask<IReadOnlyList<string>> TakeAsync(IDisk disk, ChunkHandle handle)
    {
        string place = ChunkNames.DirectoryOf(handle);
        var there = disk.ListFiles(place).Concat(disk.ListDirectories(place)).ToHashSet(StringComparer.Ordinal);
        // What makes it a replica goes last: after a crash in between it is found and moved again.
        var extensions = ChunkNames.Extensions.Where(e => there.Contains($"{handle}.{e}")).Reverse().ToList();
        if (extensions.Count == 0)
            return [];
        disk.CreateDirectory(Directory);
        await disk.FlushDirectoryAsync("");
        int number = 1 + Names(disk).Select(name => NumberIn(name, handle)).DefaultIfEmpty().Max();
        var moved = new List<string>();
        foreach (string extension in extensions)
        {
            moved.Add($"{Directory}/{handle}.{number}.{extension}");
            disk.Rename(ChunkNames.Of(handle, extension), moved[^1]);
        }
        await disk.FlushDirectoryAsync(Directory);
        await disk.FlushDirectoryAsync(place);
        return moved;
    }

    /// <summary>There is something in the replica's place that must not be deleted, or that a file cannot take the place of.</summary>
    public static bool IsNeededFor(IDisk disk, ChunkHandle handle)
    {
        var directories = disk.ListDirectories(ChunkNames.DirectoryOf(handle));
        return disk.FileExists(ChunkNames.Of(handle, "meta")) || ChunkNames.Extensions.Any(e => directories.Contains($"{handle}.{e}"));
    }

    private static IEnumerable<string> Names(IDisk disk) => disk.ListFiles(Directory).Concat(disk.ListDirectories(Directory));

    private static int NumberIn(string name, ChunkHandle handle)
    {
        string[] parts = name.Split('.');
        return parts.Length == 3 && parts[0] == handle.ToString() && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;
    }
}
