using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Semel.Cli.Verification;

/// <summary>
/// Counts records by their content: how often each was acknowledged, and how often each was found. Knows nothing of operation
/// ids, so that it also catches what a fault in them would hide.
/// </summary>
internal sealed class RecordLedger
{
    private readonly Dictionary<UInt128, (long Sent, long Acknowledged, long Found)> _counts = [];   // guarded by itself

    public long Acknowledged { get; private set; }
    public long Found { get; private set; }

    /// <summary>A writer hands the record over.</summary>
    public UInt128 Sent(ReadOnlySpan<byte> record)
    {
        var key = KeyOf(record);
        lock (_counts)
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, key, out _).Sent++;
        return key;
    }

    /// <summary>The append of a record that was <see cref="Sent"/> is durable.</summary>
    public void MarkAcknowledged(UInt128 key)
    {
        lock (_counts)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, key, out _).Acknowledged++;
            Acknowledged++;
        }
    }

    /// <summary>The record stands in the file.</summary>
    public void MarkFound(ReadOnlySpan<byte> record)
    {
        var key = KeyOf(record);
        lock (_counts)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, key, out _).Found++;
            Found++;
        }
    }

    /// <summary>Acknowledged more often than found; found more often than sent (each surplus counts).</summary>
    public (long Lost, long Duplicated) Compare()
    {
        lock (_counts)
        {
            long lost = 0, duplicated = 0;
            foreach (var (sent, acknowledged, found) in _counts.Values)
            {
                lost += Math.Max(0, acknowledged - found);
                duplicated += Math.Max(0, found - sent);
            }
            return (lost, duplicated);
        }
    }

    private static UInt128 KeyOf(ReadOnlySpan<byte> record)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(record, digest);
        return MemoryMarshal.Read<UInt128>(digest);
    }
}
