namespace Semel.Cli.Verification;

/// <summary>What can be found out about a replica or a file.</summary>
internal enum FindingKind
{
    /// <summary>Bytes do not verify, or a replica that the master counts on is not there.</summary>
    Corrupt,

    /// <summary>The server has no replica. No audit ends with it: see <see cref="Finding.Settled"/>.</summary>
    Missing,

    /// <summary>Replicas verify and have different bytes, or one has too few.</summary>
    Divergent,

    /// <summary>An operation id stands in the file more than once.</summary>
    Duplicate,

    /// <summary>A writer's next record skips sequences.</summary>
    Gap,

    /// <summary>A replica could not be read, or is still to be made. Says nothing against the file, and nothing for it.</summary>
    Unread,
}

/// <summary>Something that speaks against a file, or keeps one from saying that nothing does.</summary>
/// <param name="Text">Names the chunk, and where it can the server and the offset.</param>
/// <param name="Server">The replica's address; null: it is not about one replica.</param>
/// <param name="Handle">The chunk; 0: it is not about one.</param>
internal sealed record Finding(FindingKind Kind, string Text, string? Server = null, ulong Handle = 0)
{
    /// <summary>What a missing replica comes to: something is wrong if the master counts on it although it has heard what its servers hold; else it may yet hear that it is lost.</summary>
    public Finding Settled(bool isConfirmed) => (Kind, isConfirmed) switch
    {
        (not FindingKind.Missing, _) => this,
        (_, true) => this with { Kind = FindingKind.Corrupt },
        _ => this with { Kind = FindingKind.Unread, Text = Text + ", which may not have heard yet what its servers hold" },
    };
}

/// <summary>A chunk as all its replicas hold it.</summary>
/// <param name="Length">Committed bytes of frames.</param>
/// <param name="Sha256">Of those bytes, lower-case hexadecimal.</param>
internal sealed record AuditedChunk(string Path, ulong Index, ulong Handle, uint Length, string Sha256, long Records);

/// <summary>What reading every replica of every chunk of a file found.</summary>
/// <param name="Chunks">Chunks of the file.</param>
/// <param name="Replicas">Replicas that were read.</param>
/// <param name="Records">Records of one copy of the file.</param>
/// <param name="Duplicates">Operation ids (writer, epoch, sequence) that stand in the file more than once.</param>
/// <param name="Gaps">Sequences that a writer's next record skips.</param>
/// <param name="Corrupt">Replicas that do not verify or are not where they should be, and frames that contradict what came before them.</param>
/// <param name="Divergent">Replicas that verify and differ from the others.</param>
/// <param name="Unread">Replicas that could not be read, or that are lacking.</param>
/// <param name="Findings">The first <see cref="FileAudit.MaxFindings"/> of them, in file order.</param>
internal sealed record AuditResult(
    string Path, long Chunks, long Replicas, long Records, long Duplicates, long Gaps, long Corrupt, long Divergent, long Unread, IReadOnlyList<Finding> Findings)
{
    public const string ExactlyOnce = "exactly once";
    public const string Incomplete = "incomplete";
    public const string Violated = "violated";

    public bool IsViolated => Duplicates + Gaps + Corrupt + Divergent > 0;

    /// <summary>Violated when anything speaks against the file; incomplete when a replica was not read; else exactly once.</summary>
    public string Verdict => IsViolated ? Violated : Unread > 0 ? Incomplete : ExactlyOnce;
}
