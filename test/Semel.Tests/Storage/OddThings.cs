using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Semel.Tests.Storage;

/// <summary>What may lie where a file should be.</summary>
public enum OddThing
{
    Directory = 1,
    Pipe = 2,
    Socket = 3,
    LinkToItself = 4,
}

internal static class OddThings
{
    public static void Make(OddThing thing, string path)
    {
        switch (thing)
        {
            case OddThing.Directory:
                Directory.CreateDirectory(path);
                File.WriteAllText(Path.Combine(path, "content"), "x");
                break;
            case OddThing.Pipe:
                Assert.Equal(0, MakePipe(path, 0x180));
                break;
            case OddThing.Socket:
                // Its name outlives it: bound elsewhere, where the path is short enough, and moved.
                string name = Path.Combine(Path.GetTempPath(), $"s{Guid.NewGuid():N}");
                using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
                {
                    socket.Bind(new UnixDomainSocketEndPoint(name));
                    Assert.Equal(0, Rename(name, path));
                }
                break;
            case OddThing.LinkToItself:
                File.CreateSymbolicLink(path, path);
                break;
        }
    }

    [DllImport("libc", EntryPoint = "mkfifo")]
    private static extern int MakePipe([MarshalAs(UnmanagedType.LPUTF8Str)] string path, uint mode);

    [DllImport("libc", EntryPoint = "rename")]
    private static extern int Rename([MarshalAs(UnmanagedType.LPUTF8Str)] string from, [MarshalAs(UnmanagedType.LPUTF8Str)] string to);
}
