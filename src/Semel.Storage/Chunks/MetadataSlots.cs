using System.Diagnostics.CodeAnalysis;
using Semel.Storage.Disks;

namespace Semel.Storage.Chunks;

/// <summary>
/// A replica's <c>.meta</c> file: two slots of <see cref="ChunkMetadata"/>, of which the valid one with the higher generation counts. A write goes to the other one.
/// </summary>
internal sealed class MetadataSlots : IDisposable
{
    private readonly IDiskFile _file;
    private ulong _generation;

    private MetadataSlots(IDiskFile file, ChunkMetadata current, ulong generation, bool agree, string? fault)
    {
        _file = file;
        _generation = generation;
        Current = current;
        Agree = agree;
        Fault = fault;
    }

    /// <summary>As last written.</summary>
    public ChunkMetadata Current { get; private set; }

    /// <summary>Both slots hold <see cref="Current"/>: either of them may rot.</summary>
    public bool Agree { get; private set; }

    /// <summary>Which of the slots could not be read, and why; null: both could. Nobody knows whether it was the newer one.</summary>
    public string? Fault { get; private set; }

    /// <summary>Fills an empty file; nothing is durable yet.</summary>
    public static void Fill(IDiskFile file, ChunkMetadata metadata)
    {
        file.SetLength(ChunkMetadata.SlotStride + ChunkMetadata.SlotSize);
        Put(file, metadata, 0);
        Put(file, metadata, 1);
    }

    public static bool TryRead(IDiskFile file, [NotNullWhen(true)] out MetadataSlots? slots, [NotNullWhen(false)] out ChunkFault? fault)
    {
        slots = null;
        var found = new ChunkMetadata?[2];
        var generations = new ulong[2];
        string? problems = null;
        Span<byte> slot = stackalloc byte[ChunkMetadata.SlotSize];
        for (int i = 0; i < 2; i++)
        {
            int read = file.Read(i * ChunkMetadata.SlotStride, slot);
            if (ChunkMetadata.TryRead(slot[..read], out found[i], out generations[i], out string? problem))
                continue;
            if (ChunkMetadata.IsNewer(slot[..read]))
            {
                fault = new ChunkFault(ChunkFaultKind.Newer, $"slot {i}: {problem}. Start that version.");
                return false;
            }
            problems = problems is null ? $"slot {i}: {problem}" : $"{problems}; slot {i}: {problem}";
        }
        int newest = found[1] is not null && (found[0] is null || generations[1] > generations[0]) ? 1 : 0;
        if (found[newest] is not { } current)
        {
            fault = new ChunkFault(ChunkFaultKind.Unreadable, problems!);
            return false;
        }
        fault = null;
        // Older versions of Semel filled the first slot only.
        bool wasNeverFilled = generations[newest] <= 1 && found[1 - newest] is null;
        slots = new MetadataSlots(file, current, generations[newest], found[0] == found[1], wasNeverFilled ? null : problems);
        return true;
    }

    /// <summary>Durable on return. A failure leaves what was there before, or the new one.</summary>
    /// <param name="metadata">Takes the place of <see cref="Current"/>.</param>
    /// <param name="both">Into both slots, as far as they do not say it already. One after the other, so that a torn write loses nothing.</param>
    public async ValueTask WriteAsync(ChunkMetadata metadata, bool both)
    {
        if (!both || metadata != Current)
            await WriteOneAsync(metadata);
        if (!both || Agree)
            return;
        await WriteOneAsync(metadata);
        (Agree, Fault) = (true, null);
    }

    public ValueTask FlushAsync() => _file.FlushAsync();

    public void Dispose() => _file.Dispose();

    private async ValueTask WriteOneAsync(ChunkMetadata metadata)
    {
        Agree = false;
        Put(_file, metadata, _generation + 1);
        _generation++;
        await _file.FlushAsync();
        Current = metadata;
    }

    /// <summary>Slots alternate, so the generation after the newest valid one never lands on it.</summary>
    private static void Put(IDiskFile file, ChunkMetadata metadata, ulong generation)
    {
        Span<byte> slot = stackalloc byte[ChunkMetadata.SlotSize];
        metadata.Write(slot, generation);
        file.Write((long)(generation % 2) * ChunkMetadata.SlotStride, slot);
    }
}
