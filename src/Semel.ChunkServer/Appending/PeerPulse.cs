using System.Collections.Concurrent;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// When each other chunk server last answered a call of any of our primaries. A server that answers for other chunks is alive: its disk has a queue, and to replace it
/// in one chunk after the other would only make the queue longer.
/// </summary>
internal sealed class PeerPulse
{
    private readonly ConcurrentDictionary<ulong, Beat> _beats = new();

    public Beat Of(ulong server) => _beats.GetOrAdd(server, static _ => new Beat());

    /// <summary>The pulse of one server. From any thread.</summary>
    internal sealed class Beat
    {
        private long _last;

        /// <summary>Timestamp of the last answer; 0: there was none.</summary>
        public long Last => Volatile.Read(ref _last);

        public void Answered(long timestamp) => Volatile.Write(ref _last, timestamp);
    }
}
