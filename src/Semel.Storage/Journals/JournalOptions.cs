namespace Semel.Storage.Journals;

/// <summary>Sizes of a journal.</summary>
public sealed class JournalOptions
{
    /// <summary>A segment that would grow beyond this is followed by a new one. A group larger than this still is in one segment. Default 64 MiB.</summary>
    public long SegmentBytes { get; set; } = 64 << 20;

    /// <summary>
    /// Zeros written ahead of the tail at a time, so that most flushes find the file's length and blocks settled and cost one flush of
    /// the device instead of two. 0: none. Default 1 MiB.
    /// </summary>
    public int FillAheadBytes { get; set; } = 1 << 20;

    /// <summary>How long after the last group an idle journal writes its witness. Default 50 ms.</summary>
    public TimeSpan WitnessWhenIdleFor { get; set; } = TimeSpan.FromMilliseconds(50);

    /// <summary>A journal that is never idle writes its witness this often. Default 1 s.</summary>
    public TimeSpan WitnessInterval { get; set; } = TimeSpan.FromSeconds(1);
}
