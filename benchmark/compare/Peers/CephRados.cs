using System.Diagnostics;

namespace Semel.Peers;

/// <summary>
/// Ceph: all clients append to one RADOS object, each over a connection of its own. An acknowledgement means that all OSDs of the pool have the record on disk.
/// The object is read back. It may grow to 128 MiB (<c>osd_max_object_size</c>); the OSDs refuse what is beyond, and the run fails.
/// </summary>
internal sealed class CephRados(LoadShape shape) : IPeer
{
    private const string Pool = "bench";

    private readonly string _object = $"bench-{Environment.ProcessId}-{Stopwatch.GetTimestamp()}";

    public void Prepare()
    {
    }

    public void Append(int client, ClientCount count)
    {
        using var pool = new RadosPool(shape.Ports[0], Pool);
        var record = new byte[shape.Size];
        var underWay = new Queue<(nint Append, long Begin)>(shape.Window);
        long next = 0;
        while (true)
        {
            while (underWay.Count < shape.Window && !count.IsOver)
            {
                NumberedRecords.Compose(record, client, next++);
                long begin = Stopwatch.GetTimestamp();
                underWay.Enqueue((pool.BeginAppend(_object, record), begin));
            }
            if (underWay.Count == 0)
                return;
            // Appends of one client to one object complete in the order in which they began.
            var oldest = underWay.Dequeue();
            if (pool.EndAppend(oldest.Append))
                count.Acknowledge(oldest.Begin);
            else
                count.Errors++;
        }
    }

    public string? Verify(ClientCount[] counts)
    {
        using var pool = new RadosPool(shape.Ports[0], Pool);
        string? fault = NumberedRecords.FaultOf(pool.ReadAll(_object), shape.Size, counts);
        pool.Remove(_object);
        return fault;
    }
}
