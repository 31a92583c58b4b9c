using Semel.Storage.Disks;

namespace Semel.Storage.Journals;

/// <summary>
/// The file <c>witness</c> beside a journal's segments: how far the journal had been durable when it was last asked. It has two slots
/// (<see cref="JournalWitness"/>), at 0 and at
/// <see cref="SlotStride"/>, in sectors of their own; each goes to the slot that does not hold the one before it, so that a torn write
/// leaves the one before it in force. The file is made whole beside and renamed, so that on a good disk one slot always is good; it never
/// grows: writing needs no space.
/// </summary>
internal sealed class WitnessFile : IDisposable
{
    public const string Name = "witness";
    public const int SlotStride = 4096;
    private const string TemporaryName = "witness.tmp";
    private const int FileLength = SlotStride + JournalWitness.Size;

    private readonly IDisk _disk;
    private readonly string _directory;
    private ulong _nextCount = 1;
    private bool _isWhole;          // it exists, and one slot is good
    private IDiskFile? _file;       // open once it was written

    /// <summary>Reads what is there.</summary>
    public WitnessFile(IDisk disk, string directory)
    {
        (_disk, _directory) = (disk, directory);
        if (!disk.FileExists(Path))
            return;
        using var file = disk.Open(Path, create: false);
        var slots = new JournalWitness?[2];
        Span<byte> bytes = stackalloc byte[JournalWitness.Size];
        for (int i = 0; i < 2; i++)
        {
            int length = file.Read(i * SlotStride, bytes);
            if (JournalWitness.TryRead(bytes[..length], out var slot, out string? fault) && slot.Count % 2 == (ulong)i)
                slots[i] = slot;
            else
                Fault = fault ?? "a slot is in the other one's place";
        }
        _isWhole = slots[0] is not null || slots[1] is not null;
        if (!_isWhole)
            return;
        Fault = null;
        var newest = slots[0] is { } first && !(slots[1]?.Count > first.Count) ? first : slots[1]!.Value;
        Found = newest;
        // What was just read may be in the page cache only, after a kill or a flush that failed. So it is written over, and the other slot,
        // which is durable, stays; unless that one is bad.
        _nextCount = newest.Count + (slots[(newest.Count + 1) % 2] is null ? 1UL : 2UL);
    }

    /// <summary>The newest good slot; null: there is none.</summary>
    public JournalWitness? Found { get; }

    /// <summary>Why the file that is there says nothing; null when it does, or when there is none.</summary>
    public string? Fault { get; }

    public string Path => $"{_directory}/{Name}";

    /// <summary>Durable on return. After an <see cref="IOException"/> the old one or the new one is in force.</summary>
    public async ValueTask WriteAsync(ulong entry, ulong segment, long offset)
    {
        var slot = new byte[JournalWitness.Size];
        new JournalWitness(_nextCount, entry, segment, (ulong)offset).Write(slot);
        long at = (long)(_nextCount % 2) * SlotStride;
        if (_isWhole)
        {
            _file ??= _disk.Open(Path, create: false);
            _file.Write(at, slot);
            await _file.FlushAsync();
        }
        else
        {
            await CreateAsync(at, slot);
            _isWhole = true;
        }
        _nextCount++;
    }

    public void Dispose() => _file?.Dispose();

    private async ValueTask CreateAsync(long at, byte[] slot)
    {
        string temporary = $"{_directory}/{TemporaryName}";
        _disk.Delete(temporary);
        using (var file = _disk.Open(temporary, create: true))
        {
            file.Write(0, new byte[FileLength]);
            file.Write(at, slot);
            await file.FlushAsync();
        }
        _disk.Rename(temporary, Path);
        await _disk.FlushDirectoryAsync(_directory);
    }
}
