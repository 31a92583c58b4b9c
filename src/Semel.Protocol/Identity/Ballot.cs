namespace Semel.Protocol.Identity;

/// <summary>
/// Orders everything that happens to a chunk: <c>version:40 | attempt:24</c>, compared as one number. The master raises the
/// version (a new configuration), the primary raises the attempt (an abort). A ballot serves exactly one primary
/// incarnation. <see cref="None"/> is below every ballot that was ever granted.
/// </summary>
public readonly record struct Ballot(ulong Value) : IComparable<Ballot>
{
    private const int AttemptBits = 24;
    private const ulong AttemptMask = (1UL << AttemptBits) - 1;

    public static readonly Ballot None;

    public static Ballot OfVersion(ulong version) => new(version << AttemptBits);

    public ulong Version => Value >> AttemptBits;
    public uint Attempt => (uint)(Value & AttemptMask);

    /// <summary>The ballot of the next attempt in the same version.</summary>
    public Ballot NextAttempt()
    {
        Invariant.Holds(Attempt < AttemptMask);
        return new Ballot(Value + 1);
    }

    public int CompareTo(Ballot other) => Value.CompareTo(other.Value);
    public static bool operator <(Ballot a, Ballot b) => a.Value < b.Value;
    public static bool operator >(Ballot a, Ballot b) => a.Value > b.Value;
    public static bool operator <=(Ballot a, Ballot b) => a.Value <= b.Value;
    public static bool operator >=(Ballot a, Ballot b) => a.Value >= b.Value;

    public override string ToString() => $"{Version}.{Attempt}";
}
