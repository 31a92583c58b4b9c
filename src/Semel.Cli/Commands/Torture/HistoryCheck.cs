using System.Runtime.InteropServices;
using System.Text.Json;
using Semel.Cli.Terminal;
using Semel.Client;

namespace Semel.Cli.Commands.Torture;

/// <summary>What a history says of the run.</summary>
/// <param name="Seconds">For which faults fell.</param>
/// <param name="Faults">How many were carried out, by kind.</param>
/// <param name="Acknowledged">Records whose append was acknowledged, or that a later incarnation of their writer was told of.</param>
/// <param name="Found">Records in the files.</param>
/// <param name="Lost">Acknowledged and not in the file, or there with other bytes, or left out before a record that is there.</param>
/// <param name="Duplicated">In the file more than once, or never sent.</param>
/// <param name="Reordered">Not where it was acknowledged, or seen by a reader elsewhere or otherwise than it is in the file.</param>
/// <param name="Divergent">Replicas that differ or do not verify, except those that the run itself rotted.</param>
/// <param name="Unfinished">What could not be finished: readers that did not reach the end, replicas that were not read.</param>
/// <param name="Complaints">The first of all that, for people.</param>
internal sealed record HistoryVerdict(
    long Seed, double Seconds, IReadOnlyDictionary<string, long> Faults, long Acknowledged, long Found, long Lost, long Duplicated, long Reordered, long Divergent, long Unfinished, IReadOnlyList<string> Complaints)
{
    public bool IsViolated => Lost + Duplicated + Reordered + Divergent > 0;

    public string Verdict => IsViolated ? Verification.AuditResult.Violated : Unfinished > 0 ? Verification.AuditResult.Incomplete : Verification.AuditResult.ExactlyOnce;
}

/// <summary>
/// Judges a history. Knows nothing of the cluster, the seed or the operation ids' meaning: it compares what producers sent and were told, what readers saw, and what
/// the files contained in the end.
/// </summary>
internal sealed class HistoryCheck
{
    private const int MaxComplaints = 50;

    private readonly Dictionary<string, WriterNotes> _writers = [];
    private readonly Dictionary<(string Path, ulong Id), WriterNotes> _byId = [];
    private readonly Dictionary<string, List<Seen>> _files = [];
    private readonly Dictionary<string, (string Path, List<Seen> Seen)> _readers = [];
    private readonly SortedDictionary<string, long> _faults = new(StringComparer.Ordinal);
    private readonly List<string> _complaints = [];
    private long _lost, _duplicated, _reordered, _divergent, _unfinished;
    private HistoryLine? _run;
    private bool _ended;

    private readonly record struct Seen(RecordPosition Position, ulong Id, ulong Sequence, uint Crc);

    /// <exception cref="CommandException">The file is missing, or a line of it is not of a history.</exception>
    public static HistoryVerdict Run(string file)
    {
        var check = new HistoryCheck();
        int number = 0;
        try
        {
            foreach (string line in System.IO.File.ReadLines(file))
            {
                number++;
                check.Take(History.Parse(line));
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CommandException(ExitCode.NotFound, $"There is no file {file}.");
        }
        catch (Exception e) when (e is JsonException or FormatException)
        {
            throw CommandException.Usage($"{file}, line {number}: this is not a line of a history: {e.Message}");
        }
        return check.Judge();
    }

    private void Take(HistoryLine line)
    {
        switch (line.Event)
        {
            case HistoryLine.Run when line.Version != History.Version:
                throw new FormatException($"the history has version {line.Version}; this program knows {History.Version}");
            case HistoryLine.Run:
                _run = line;
                break;
            case HistoryLine.Open:
                var opened = WriterOf(line.Writer!);
                _byId[(line.Path!, line.Id!.Value)] = opened;
                opened.SettledUpTo = Math.Max(opened.SettledUpTo, line.Seq!.Value);
                break;
            case HistoryLine.Sent:
                WriterOf(line.Writer!).Sent[line.Seq!.Value] = line.Crc!.Value;
                break;
            case HistoryLine.Acknowledged:
                WriterOf(line.Writer!).Acknowledged[line.Seq!.Value] = line.Pos is null ? null : PlaceOf(line.Pos);
                break;
            case HistoryLine.Read:
                if (!_readers.TryGetValue(line.Reader!, out var reader))
                    _readers.Add(line.Reader!, reader = (line.Path!, []));
                reader.Seen.Add(SeenIn(line));
                break;
            case HistoryLine.Found:
                (CollectionsMarshal.GetValueRefOrAddDefault(_files, line.Path!, out _) ??= []).Add(SeenIn(line));
                break;
            case HistoryLine.Fault:
                _faults[line.Kind!] = _faults.GetValueOrDefault(line.Kind!) + 1;
                break;
            case HistoryLine.Audit:
                _divergent += line.Divergent ?? 0;
                _unfinished += line.Unread ?? 0;
                if (line.What is { Length: > 0 } what)
                    Complain($"{line.Path}: {what}");
                break;
            case HistoryLine.End:
                _ended = true;
                break;
        }
    }

    private HistoryVerdict Judge()
    {
        if (!_ended)
            Unfinished("the history has no end: the run was interrupted");
        foreach (var (path, found) in _files)
            CheckOrder(path, found);
        foreach (var (name, writer) in _writers)
            CheckAcknowledged(name, writer);
        foreach (var (name, (path, seen)) in _readers)
            CheckReader(name, path, seen);
        long acknowledged = _writers.Values.Sum(w => w.Acknowledged.Keys.LongCount(s => s > w.SettledUpTo) + (long)w.SettledUpTo);
        return new HistoryVerdict(_run?.Seed ?? 0, _run?.Seconds ?? 0, _faults, acknowledged, _files.Values.Sum(f => f.Count), _lost, _duplicated, _reordered, _divergent, _unfinished, _complaints);
    }

    /// <summary>Each writer's records stand in the file from 1 on, in order, with their bytes.</summary>
    private void CheckOrder(string path, List<Seen> found)
    {
        foreach (var record in found)
        {
            if (!_byId.TryGetValue((path, record.Id), out var writer) || !writer.Sent.TryGetValue(record.Sequence, out uint crc))
            {
                Count(ref _duplicated, $"{path} {record.Position}: record {record.Sequence} of writer {record.Id} was never sent");
                continue;
            }
            if (record.Sequence <= writer.FoundUpTo)
                Count(ref _duplicated, $"{path} {record.Position}: record {record.Sequence} of {writer.Name} is there again; it was at {writer.Found.GetValueOrDefault(record.Sequence)}");
            else if (record.Sequence != writer.FoundUpTo + 1)
                Count(ref _lost, $"{path} {record.Position}: record {record.Sequence} of {writer.Name} follows {writer.FoundUpTo}", writer.UnacknowledgedBetween(writer.FoundUpTo, record.Sequence));
            if (record.Crc != crc)
                Count(ref _lost, $"{path} {record.Position}: record {record.Sequence} of {writer.Name} has other bytes than were sent");
            writer.FoundUpTo = Math.Max(writer.FoundUpTo, record.Sequence);
            writer.Found.TryAdd(record.Sequence, record.Position);
        }
    }

    private void CheckAcknowledged(string name, WriterNotes writer)
    {
        if (writer.SettledUpTo > writer.FoundUpTo)
            Count(ref _lost, $"{name} was told that {writer.SettledUpTo} records are in the file, {writer.FoundUpTo} are", (long)(writer.SettledUpTo - writer.FoundUpTo));
        foreach (var (sequence, position) in writer.Acknowledged)
        {
            if (!writer.Found.TryGetValue(sequence, out var found))
            {
                if (sequence > writer.SettledUpTo)
                    Count(ref _lost, $"record {sequence} of {name} was acknowledged at {position} and is not in the file");
            }
            else if (position is { } answered && answered != found)
            {
                Count(ref _reordered, $"record {sequence} of {name} was acknowledged at {answered} and is at {found}");
            }
        }
    }

    /// <summary>A reader saw what the file is, from its beginning on.</summary>
    private void CheckReader(string name, string path, List<Seen> seen)
    {
        var file = _files.GetValueOrDefault(path) ?? [];
        for (int i = 0; i < seen.Count; i++)
        {
            if (i < file.Count && seen[i] == file[i])
                continue;
            Count(ref _reordered, $"{name} saw {seen[i]} as record {i} of {path}; in the file there is {(i < file.Count ? file[i] : "none")}");
            return;
        }
        if (seen.Count < file.Count)
            Unfinished($"{name} saw {seen.Count} of {file.Count} records of {path}");
    }

    private WriterNotes WriterOf(string name)
    {
        ref var writer = ref CollectionsMarshal.GetValueRefOrAddDefault(_writers, name, out _);
        return writer ??= new WriterNotes(name);
    }

    private static Seen SeenIn(HistoryLine line) => new(PlaceOf(line.Pos!), line.Id!.Value, line.Seq!.Value, line.Crc!.Value);

    /// <summary>
    /// Without the file, which frames read from a replica do not say: the line's path is enough, since a run deletes nothing.
    /// </summary>
    private static RecordPosition PlaceOf(string text) => RecordPosition.Parse(text) with { FileId = 0 };

    private void Count(ref long counter, string complaint, long by = 1)
    {
        counter += by;
        Complain(complaint);
    }

    private void Unfinished(string complaint)
    {
        _unfinished++;
        Complain(complaint);
    }

    private void Complain(string complaint)
    {
        if (_complaints.Count < MaxComplaints)
            _complaints.Add(complaint);
    }

    /// <summary>What is known of a writer, under its name, over all its incarnations.</summary>
    private sealed class WriterNotes(string name)
    {
        public string Name => name;
        public Dictionary<ulong, uint> Sent { get; } = [];
        public Dictionary<ulong, RecordPosition?> Acknowledged { get; } = [];
        public Dictionary<ulong, RecordPosition> Found { get; } = [];
        public ulong FoundUpTo { get; set; }

        /// <summary>Those that are acknowledged are counted where acknowledgements are.</summary>
        public long UnacknowledgedBetween(ulong last, ulong next)
        {
            long count = 0;
            for (ulong sequence = last + 1; sequence < next; sequence++)
                count += sequence > SettledUpTo && !Acknowledged.ContainsKey(sequence) ? 1 : 0;
            return count;
        }

        /// <summary>When it was opened again it was told that everything up to here is in the file.</summary>
        public ulong SettledUpTo { get; set; }
    }
}
