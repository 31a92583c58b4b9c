using System.Collections.Concurrent;

namespace Semel.ChunkServer.Appending;

/// <summary>
/// When each other chunk server last answered a call of any of our primaries, and how long its answers take. A server that answers for other chunks is alive: its disk has a
/// queue, and to replace it in one chunk after the other would only make the queue longer. One whose answers take a second is not dead because none came for half of one.
/// </summary>
internal sealed class PeerPulse
{
    private readonly ConcurrentDictionary<ulong, Beat> _beats = new();

    public Beat Of(ulong server) => _beats.GetOrAdd(server, static _ => new Beat());

    /// <summary>The pulse of one server, in timestamps. From any thread; those that write at the same moment may lose what one of them saw.</summary>
    internal sealed class Beat
    {
        private long _last;
        private long _windowBegan;
        private long _slowestInWindow;
        private long _slowestBefore;    // in the window before

        /// <summary>When the last answer came; 0: there was none.</summary>
        public long Last => Volatile.Read(ref _last);

        /// <summary>How long the slowest answer of the last one or two windows took; 0: there was none.</summary>
        public long Slowest => Math.Max(Volatile.Read(ref _slowestInWindow), Volatile.Read(ref _slowestBefore));

        /// <param name="sent">When the call was sent.</param>
        /// <param name="now">When its answer was taken.</param>
        /// <param name="window">Answers older than two of these are forgotten when newer ones come.</param>
        public void Answered(long sent, long now, long window)
        {
            Volatile.Write(ref _last, now);
            if (now - Volatile.Read(ref _windowBegan) > window)
            {
                Volatile.Write(ref _windowBegan, now);
                Volatile.Write(ref _slowestBefore, Volatile.Read(ref _slowestInWindow));
                Volatile.Write(ref _slowestInWindow, now - sent);
            }
            else if (now - sent > Volatile.Read(ref _slowestInWindow))
            {
                Volatile.Write(ref _slowestInWindow, now - sent);
            }
        }
    }
}
