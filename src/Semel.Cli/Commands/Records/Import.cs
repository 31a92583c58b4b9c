using Semel.Cli.Inputs;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary>
/// Appends an input's records in order, many under way at a time.
/// </summary>
/// <param name="context">For progress and cancellation.</param>
/// <param name="writer">Whose sequence is the record's number in the input, when it resumes.</param>
/// <param name="input">Cut into records.</param>
/// <param name="refusal">
/// What to say when it is not the input that the writer has appended before. Null: a record's sequence is not its number in the input.
/// </param>
internal sealed class Import(CommandContext context, RecordWriter writer, RecordInput input, ResumeRefusal? refusal)
{
    /// <summary>Appends that are not awaited yet. The writer itself bounds the bytes.</summary>
    private const int MaxUnderWay = 8192;

    private readonly ulong _skip = refusal is null ? 0 : writer.LastSequence;
    private readonly Queue<(ValueTask<AppendResult> Append, int Bytes)> _underWay = new();
    private long _records;
    private long _bytes;
    private ulong? _first;
    private ulong? _last;
    private double _seconds;
    private long _compared;
    private long _notCompared;
    private long _unreadable;

    public async Task RunAsync()
    {
        long begin = context.Time.GetTimestamp();
        using var progress = ProgressLine.Begin(context, () => FormattableString.Invariant(
            $"{_records:N0} records, {Quantities.Approximate(_bytes)}, {_records / Math.Max(0.001, context.Time.GetElapsedTime(begin).TotalSeconds):N0}/s"));
        try
        {
            await AppendAllAsync();
        }
        catch
        {
            SayWhatIsDone();
            throw;
        }
        finally
        {
            _seconds = context.Time.GetElapsedTime(begin).TotalSeconds;
        }
    }

    public AppendCommand.Summary SummaryOf(string path) => new(
        path, HasSequences ? writer.Name : null, writer.Epoch, _records, _first, _last ?? LastOfWriter, _bytes, Math.Round(_seconds, 6),
        _compared, _notCompared);

    public string TextOf(string path)
    {
        string older = _notCompared > _unreadable ? ", the others are older than what the file remembers" : "";
        string skipped = _skip > 0 ? FormattableString.Invariant($" ({_skip} were there already, {_compared} of them compared{older})") : "";
        string sequences = _first is null ? "" : FormattableString.Invariant($", sequences {_first} to {_last} of writer {writer.Name}");
        return FormattableString.Invariant($"appended {_records} records to {path}{skipped}: {_bytes} bytes in {_seconds:0.000} s{sequences}");
    }

    private bool HasSequences => writer.WriterId != 0;

    private ulong? LastOfWriter => HasSequences ? writer.LastSequence : null;

    private async Task AppendAllAsync()
    {
        ulong number = 0;
        while (await input.ReadAsync(context.Cancellation) is { } record)
        {
            if (++number <= _skip)
            {
                await RepeatAsync(number, record);
                continue;
            }
            while (_underWay.Count > 0 && (_underWay.Count >= MaxUnderWay || _underWay.Peek().Append.IsCompleted))
                await AwaitOldestAsync();
            var append = refusal is not null ? writer.AppendAsync(number, record, context.Cancellation) : writer.AppendAsync(record, context.Cancellation);
            _underWay.Enqueue((append, record.Length));
        }
        if (number < _skip)
            throw refusal!.EndsBefore(number);
        while (_underWay.Count > 0)
            await AwaitOldestAsync();
    }

    /// <summary>
    /// A record that is in the file already, unless it is another one. Each is awaited: nothing is appended before all of them are known to
    /// be the same.
    /// </summary>
    private async ValueTask RepeatAsync(ulong number, ReadOnlyMemory<byte> record)
    {
        try
        {
            var result = await writer.AppendAsync(number, record, context.Cancellation);
            if (result.Comparison is ReplayComparison.Equal)
                _compared++;
            else
                _notCompared++;
            if (result.Comparison is ReplayComparison.Unreadable)
                _unreadable++;
        }
        catch (OperationIdReusedException e) when (e.RecordInFile is { } there)
        {
            throw refusal!.Differs(number, record.Span, there.Span);
        }
    }

    /// <summary>What the person should know although all went well.</summary>
    public void SayWhatIsSpecial(bool completeLines)
    {
        if (_unreadable > 0)
            context.Say(FormattableString.Invariant($"semel: {_unreadable} records that were there already could not be read from the file now, and were not compared with the input."));
        if (input.OpenLineBytes is not { } bytes)
            return;
        if (completeLines)
            context.Say(FormattableString.Invariant($"semel: the last line had no newline; its {bytes} bytes were left for the next time."));
        else if (_records > 0)
            context.Say(FormattableString.Invariant($"semel: the last line had no newline; taken as a record of {bytes} bytes."));
    }

    private async ValueTask AwaitOldestAsync()
    {
        var (append, bytes) = _underWay.Dequeue();
        var result = await append;
        _records++;
        _bytes += bytes;
        if (HasSequences)
        {
            _first ??= result.Sequence;
            _last = result.Sequence;
        }
    }

    /// <summary>After a failure: what of the input is safely in the file.</summary>
    private void SayWhatIsDone()
    {
        string sequence = _last is null ? "" : FormattableString.Invariant($", up to sequence {_last} of writer {writer.Name}");
        context.Say(FormattableString.Invariant($"{_records} records were acknowledged{sequence}; {_underWay.Count} more were under way."));
    }
}
