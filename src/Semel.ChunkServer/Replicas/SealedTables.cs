namespace Semel.ChunkServer.Replicas;

/// <summary>
/// Keeps the writer tables of the chunks that were sealed last: the next chunk starts from them, and repeated appends are answered from them. What is kept is bounded, however
/// many chunks a server holds and however many writers their files know; a table that was let go is read again from the frames when it is asked for.
/// </summary>
internal sealed class SealedTables(int mostWriters)
{
    /// <summary>What else a replica weighs.</summary>
    private const int WritersPerTable = 100;

    private readonly Lock _gate = new();
    private readonly Queue<(Replica Replica, int Writers)> _kept = new();   // guarded by _gate; the last one sealed is never let go
    private int _writers;                                                   // guarded by _gate

    public void Add(Replica replica, int writers)
    {
        lock (_gate)
        {
            _kept.Enqueue((replica, writers + WritersPerTable));
            _writers += writers + WritersPerTable;
            while (_writers > mostWriters && _kept.Count > 1)
            {
                var oldest = _kept.Dequeue();
                _writers -= oldest.Writers;
                oldest.Replica.Post(new TableUnneeded());
            }
        }
    }
}
