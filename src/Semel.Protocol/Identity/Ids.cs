using System.Globalization;

namespace Semel.Protocol.Identity;

/// <summary>A file for ever; given by the master at creation, never reused. A path can name another file later.</summary>
public readonly record struct FileId(ulong Value) : IComparable<FileId>
{
    public int CompareTo(FileId other) => Value.CompareTo(other.Value);
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The persistent random identity of a chunk server, kept in its data directory. 0 is no server.</summary>
public readonly record struct ServerId(ulong Value) : IComparable<ServerId>
{
    public int CompareTo(ServerId other) => Value.CompareTo(other.Value);

    /// <summary>16 lower-case hexadecimal digits.</summary>
    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);
}

/// <summary>A writer of one file, registered with the master under a name; never reused. 0 is the anonymous writer of at-least-once appends.</summary>
public readonly record struct WriterId(ulong Value) : IComparable<WriterId>
{
    public static readonly WriterId Anonymous;

    public int CompareTo(WriterId other) => Value.CompareTo(other.Value);
    public static bool operator <(WriterId a, WriterId b) => a.Value < b.Value;
    public static bool operator >(WriterId a, WriterId b) => a.Value > b.Value;
    public static bool operator <=(WriterId a, WriterId b) => a.Value <= b.Value;
    public static bool operator >=(WriterId a, WriterId b) => a.Value >= b.Value;
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>
/// Identifies one record append for ever: the writer, its epoch (one per incarnation), and the record's number in the
/// writer's sequence (dense, from 1). A retry uses the same id and the same bytes.
/// </summary>
public readonly record struct OperationId(WriterId Writer, uint Epoch, ulong Sequence)
{
    /// <summary><c>writer.epoch.sequence</c>, decimal.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Writer.Value}.{Epoch}.{Sequence}");
}
