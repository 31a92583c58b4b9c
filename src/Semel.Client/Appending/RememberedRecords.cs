using Google.Protobuf.Collections;
using Semel.Client.Cluster;
using Semel.Client.Reading;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Appending;

/// <summary>
/// What the file has of a writer's last batches, for comparing with what the writer's next incarnation repeats. The primary said where they
/// are when it took the writer in; they are read from the file, from whichever replica serves, when somebody repeats one of their records
/// and not before.
/// </summary>
internal sealed class RememberedRecords : IAsyncDisposable
{
    private readonly ClientParts _parts;
    private readonly TargetFile _file;
    private readonly WriterId _writer;
    private readonly Remembered[] _batches;     // consecutive, oldest first
    private readonly CancellationTokenSource _closed = new();
    private RememberedBatch? _unreadable;       // whose chunk nobody serves: it is waited for once, not for each of its batches

    private sealed class Remembered(RememberedBatch place)
    {
        public RememberedBatch Place => place;
        public ulong LastSequence => place.FirstSequence + place.RecordCount - 1;
        public Lazy<Task<SemelRecord[]?>>? Content { get; set; }
    }

    /// <param name="parts">Of the client.</param>
    /// <param name="file">Where the batches are.</param>
    /// <param name="writer">Whose they are.</param>
    /// <param name="memory">From the wire: if it contradicts itself or <paramref name="lastSequence"/>, nothing can be compared.</param>
    /// <param name="lastSequence">What the writer had appended before it was opened.</param>
    public RememberedRecords(ClientParts parts, TargetFile file, WriterId writer, WriterMemory? memory, ulong lastSequence)
    {
        _parts = parts;
        _file = file;
        _writer = writer;
        _batches = memory is null || !IsSound(memory.Batches, lastSequence) ? [] : [.. memory.Batches.Select(place => new Remembered(place))];
        foreach (var batch in _batches)
            batch.Content = ContentOf(batch);
        LastSequence = lastSequence;
        ComparableFrom = _batches.Length == 0 ? lastSequence + 1 : _batches[0].Place.FirstSequence;
    }

    /// <summary>What the writer had appended before it was opened.</summary>
    public ulong LastSequence { get; }

    /// <summary>The first sequence that can be compared; one more than <see cref="LastSequence"/>: none.</summary>
    public ulong ComparableFrom { get; }

    /// <summary>
    /// The record of a sequence from <see cref="ComparableFrom"/> to <see cref="LastSequence"/>, once it has been read; null: it cannot be
    /// read now.
    /// </summary>
    public async Task<SemelRecord?> ReadAsync(ulong sequence)
    {
        int index = Array.FindIndex(_batches, b => sequence <= b.LastSequence);
        var batch = _batches[index];
        var records = await batch.Content!.Value;

        // A source is repeated in order: what lies two batches back is not held in memory any longer, and read again if it is wanted after
        // all.
        if (index >= 2 && _batches[index - 2] is { Content.IsValueCreated: true, Content.Value.IsCompleted: true } passed)
            passed.Content = ContentOf(passed);
        return records?[(int)(sequence - batch.Place.FirstSequence)];
    }

    /// <summary>Ends what is being read, as unreadable.</summary>
    public async ValueTask DisposeAsync()
    {
        _closed.Cancel();
        foreach (var batch in _batches)
        {
            if (batch.Content is { IsValueCreated: true } content)
                await content.Value;
        }
    }

    private Lazy<Task<SemelRecord[]?>> ContentOf(Remembered batch) => new(() => ReadAsync(batch.Place));

    private async Task<SemelRecord[]?> ReadAsync(RememberedBatch place)
    {
        if (Volatile.Read(ref _unreadable)?.ChunkIndex == place.ChunkIndex)
            return null;
        var records = new List<SemelRecord>((int)place.RecordCount);
        string fault = "the file ends before it";
        try
        {
            var from = new RecordPosition(place.ChunkIndex, place.Offset, 0, _file.FileId);
            await foreach (var record in new RecordReading(_parts, _file.Path).ReadAsync(from, follow: false, _closed.Token))
            {
                if (record.WriterId != _writer.Value || record.Sequence != place.FirstSequence + (ulong)records.Count)
                {
                    fault = $"at {record.Position} is record {record.Sequence} of writer {record.WriterId}";
                    break;
                }
                records.Add(record);
                if (records.Count == (int)place.RecordCount)
                    return [.. records];
            }
        }
        catch (Exception e) when (e is SemelException or OperationCanceledException)
        {
            fault = e.Message;
        }
        Volatile.Write(ref _unreadable, place);
        if (!_closed.IsCancellationRequested)
            _parts.Logger.NotCompared(_writer.Value, _file.Path, place.ChunkIndex, place.FirstSequence, fault);
        return null;
    }

    private static bool IsSound(RepeatedField<RememberedBatch> batches, ulong lastSequence)
    {
        ulong? next = null;
        foreach (var batch in batches)
        {
            if (batch.RecordCount is 0 or > RecordBatch.MaxRecords || batch.FirstSequence == 0 || batch.FirstSequence != (next ?? batch.FirstSequence))
                return false;
            next = batch.FirstSequence + batch.RecordCount;
        }
        return next == lastSequence + 1;
    }
}
