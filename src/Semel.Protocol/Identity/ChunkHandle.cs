using System.Globalization;

namespace Semel.Protocol.Identity;

/// <summary>Names a chunk for ever, on every server. Never reused. 0 is no chunk.</summary>
public readonly record struct ChunkHandle(ulong Value) : IComparable<ChunkHandle>
{
    public int CompareTo(ChunkHandle other) => Value.CompareTo(other.Value);

    /// <summary>16 lower-case hexadecimal digits; also the name of the chunk's files.</summary>
    public override string ToString() => Value.ToString("x16", CultureInfo.InvariantCulture);
}
