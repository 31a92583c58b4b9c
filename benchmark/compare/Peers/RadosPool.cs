using System.Runtime.InteropServices;

namespace Semel.Peers;

/// <summary>A connection to one pool of a Ceph cluster without authentication, over librados. One thread.</summary>
internal sealed unsafe partial class RadosPool : IDisposable
{
    private const string Library = "librados.so.2";
    private const int ReadLength = 4 << 20;

    private readonly nint _cluster;
    private readonly nint _pool;

    /// <exception cref="IOException">No monitor listens there, or there is no such pool.</exception>
    public RadosPool(int monitorPort, string pool)
    {
        Check(rados_create2(out _cluster, "ceph", "client.admin", 0), "create a client");
        Set("mon_host", $"[v2:127.0.0.1:{monitorPort}]");
        Set("auth_client_required", "none");
        Set("client_mount_timeout", "20");
        Set("rados_osd_op_timeout", "20");      // else an append waits for ever for an OSD that is gone
        Check(rados_connect(_cluster), "connect");
        Check(rados_ioctx_create(_cluster, pool, out _pool), $"open the pool {pool}");
    }

    /// <summary>Starts an append. <paramref name="record"/> is copied. What is returned goes to <see cref="EndAppend"/>, once.</summary>
    public nint BeginAppend(string name, ReadOnlySpan<byte> record)
    {
        Check(rados_aio_create_completion2(0, 0, out nint append), "append");
        fixed (byte* bytes = record)
            Check(rados_aio_append(_pool, name, append, bytes, (nuint)record.Length), "append");
        return append;
    }

    /// <summary>Waits for it. False: it was refused, or there was no answer.</summary>
    public bool EndAppend(nint append)
    {
        rados_aio_wait_for_complete(append);
        int error = rados_aio_get_return_value(append);
        rados_aio_release(append);
        return error == 0;
    }

    public byte[] ReadAll(string name)
    {
        Check(rados_stat(_pool, name, out ulong length, out _), $"find {name}");
        var all = new byte[length];
        for (int read = 0; read < all.Length;)
        {
            int count;
            fixed (byte* bytes = &all[read])
                count = rados_read(_pool, name, bytes, (nuint)Math.Min(ReadLength, all.Length - read), (ulong)read);
            Check(count, $"read {name}");
            if (count == 0)
                throw new IOException($"Ceph: {name} has {length} bytes, {read} could be read.");
            read += count;
        }
        return all;
    }

    public void Remove(string name) => Check(rados_remove(_pool, name), $"remove {name}");

    public void Dispose()
    {
        rados_ioctx_destroy(_pool);
        rados_shutdown(_cluster);
    }

    private void Set(string option, string value) => Check(rados_conf_set(_cluster, option, value), $"set {option}");

    private static void Check(int result, string what)
    {
        if (result < 0)
            throw new IOException($"Ceph could not {what}: {Marshal.GetPInvokeErrorMessage(-result)}");
    }

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_create2(out nint cluster, string clusterName, string user, ulong flags);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_conf_set(nint cluster, string option, string value);

    [LibraryImport(Library)]
    private static partial int rados_connect(nint cluster);

    [LibraryImport(Library)]
    private static partial void rados_shutdown(nint cluster);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_ioctx_create(nint cluster, string pool, out nint context);

    [LibraryImport(Library)]
    private static partial void rados_ioctx_destroy(nint context);

    [LibraryImport(Library)]
    private static partial int rados_aio_create_completion2(nint argument, nint whenComplete, out nint completion);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_aio_append(nint context, string name, nint completion, byte* bytes, nuint length);

    [LibraryImport(Library)]
    private static partial int rados_aio_wait_for_complete(nint completion);

    [LibraryImport(Library)]
    private static partial int rados_aio_get_return_value(nint completion);

    [LibraryImport(Library)]
    private static partial void rados_aio_release(nint completion);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_stat(nint context, string name, out ulong length, out long modified);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_read(nint context, string name, byte* bytes, nuint length, ulong offset);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rados_remove(nint context, string name);
}
