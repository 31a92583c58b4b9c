using Semel.Cli.Inputs;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Records;

/// <summary>
/// Appends an input's records in order, many under way at a time.
/// </summary>
/// <param name="context">For progress and cancellation.</param>
/// <param name="writer">Whose sequence is the record's number when <paramref name="numbered"/>.</param>
/// <param name="input">Cut into records.</param>
/// <param name="skip">So many records at the beginning are in the file already.</param>
/// <param name="numbered">A record's sequence is its number in the input.</param>
internal sealed class Import(CommandContext context, RecordWriter writer, RecordInput input, ulong skip, bool numbered)
{
    /// <summary>Appends that are not awaited yet. The writer itself bounds the bytes.</summary>
    private const int MaxUnderWay = 8192;

    private readonly Queue<(ValueTask<AppendResult> Append, int Bytes)> _underWay = new();
    private long _records;
    private long _bytes;
    private ulong? _first;
    private ulong? _last;
    private double _seconds;

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
        path, HasSequences ? writer.Name : null, writer.Epoch, _records, _first, _last ?? LastOfWriter, _bytes, Math.Round(_seconds, 6));

    public string TextOf(string path)
    {
        string skipped = skip > 0 ? FormattableString.Invariant($" ({skip} were there already)") : "";
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
            if (++number <= skip)
                continue;
            while (_underWay.Count > 0 && (_underWay.Count >= MaxUnderWay || _underWay.Peek().Append.IsCompleted))
                await AwaitOldestAsync();
            var append = numbered ? writer.AppendAsync(number, record, context.Cancellation) : writer.AppendAsync(record, context.Cancellation);
            _underWay.Enqueue((append, record.Length));
        }
        while (_underWay.Count > 0)
            await AwaitOldestAsync();
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
