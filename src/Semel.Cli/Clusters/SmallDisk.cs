using System.Diagnostics;
using System.Globalization;
using Semel.Storage.Disks;

namespace Semel.Cli.Clusters;

/// <summary>
/// A file system in memory of a fixed size, which can be filled up for real. It is mounted in a mount namespace of a process of its own and reached through
/// <c>/proc</c>, so that it needs no rights where users may make namespaces, nobody else sees it, and it goes with this process, however that ends.
/// </summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private const int NoSpace = 28;

    private readonly Process _holder;
    private readonly string _root;

    private SmallDisk(Process holder, string root)
    {
        _holder = holder;
        _root = root;
    }

    /// <summary>A directory on it.</summary>
    public string Path => System.IO.Path.Combine(_root, "data");

    private string Filler => System.IO.Path.Combine(_root, "filler");

    /// <summary>Null: this machine does not let us mount; <paramref name="refused"/> gets why.</summary>
    /// <param name="directory">An empty directory to mount it over, in the other namespace only.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="refused">Gets the reason.</param>
    public static async Task<SmallDisk?> TryMountAsync(string directory, long bytes, Action<string> refused)
    {
        Directory.CreateDirectory(directory);
        var start = new ProcessStartInfo("unshare")
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string size = string.Create(CultureInfo.InvariantCulture, $"size={bytes},mode=700");
        string[] asUser = Environment.IsPrivilegedProcess ? [] : ["--map-root-user"];
        foreach (string argument in (string[])["--mount", .. asUser, "sh", "-c", "mount -t tmpfs -o \"$1\" tmpfs \"$2\" && echo mounted && exec cat", "sh", size, directory])
            start.ArgumentList.Add(argument);
        Process? holder = null;
        try
        {
            holder = Process.Start(start)!;
            if (await holder.StandardOutput.ReadLineAsync() == "mounted")
                return new SmallDisk(holder, string.Create(CultureInfo.InvariantCulture, $"/proc/{holder.Id}/root{directory}"));
            refused((await holder.StandardError.ReadToEndAsync()).Trim());
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            refused(e.Message);
        }
        holder?.Dispose();
        return null;
    }

    /// <summary>Takes all of the free space.</summary>
    public void Fill()
    {
        using var filler = new FileStream(Filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        var zeros = new byte[64 * 1024];
        for (int size = zeros.Length; size > 0;)
        {
            try
            {
                filler.Write(zeros, 0, size);
            }
            catch (IOException e) when (IsFull(e))
            {
                size /= 2;
            }
        }
    }

    /// <summary>Gives the space back.</summary>
    public void Free() => File.Delete(Filler);

    public async ValueTask DisposeAsync()
    {
        _holder.StandardInput.Close();
        await _holder.WaitForExitAsync();
        _holder.Dispose();
    }

    private static bool IsFull(IOException e) => e is DiskFullException || (e.HResult & 0xFFFF) == NoSpace || e.Message.Contains("No space", StringComparison.Ordinal);
}
