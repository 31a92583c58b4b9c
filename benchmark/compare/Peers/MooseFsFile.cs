using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Semel.Peers;

/// <summary>
/// MooseFS: all clients append to one file through the first mount, opened with <c>O_APPEND</c>, and call <c>fsync</c> after each record. It returns when the file's chunk servers
/// have the record in their page cache. The file is read back through the last mount, which has none of it in a cache.
/// </summary>
internal sealed partial class MooseFsFile(LoadShape shape) : IPeer
{
    private readonly string _name = $"bench-{Environment.ProcessId}-{Stopwatch.GetTimestamp()}";
    private string PathAt(string mount) => Path.Combine(mount, _name);

    public void Prepare() => File.Create(PathAt(shape.Mounts[0])).Dispose();

    public void Append(int client, ClientCount count)
    {
        using var file = OpenToAppend(PathAt(shape.Mounts[0]));
        var record = new byte[shape.Size];
        for (long number = 0; !count.IsOver; number++)
        {
            NumberedRecords.Compose(record, client, number);
            long begin = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, record, fileOffset: 0);    // with O_APPEND it goes to the end, whatever the offset
            RandomAccess.FlushToDisk(file);
            count.Acknowledge(begin);
        }
    }

    public string? Verify(ClientCount[] counts)
    {
        string path = PathAt(shape.Mounts[^1]);
        string? fault = NumberedRecords.FaultOf(File.ReadAllBytes(path), shape.Size, counts);
        File.Delete(path);
        return fault;
    }

    /// <summary><see cref="FileMode.Append"/> only seeks to the end once: two writers would overwrite each other.</summary>
    private static SafeFileHandle OpenToAppend(string path)
    {
        const int WriteOnly = 1, Append = 0x400, CloseOnExec = 0x80000;
        int descriptor = open(path, WriteOnly | Append | CloseOnExec);
        return descriptor >= 0
            ? new SafeFileHandle(descriptor, ownsHandle: true)
            : throw new IOException($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);
}
