using Semel.Cli.Terminal;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;

namespace Semel.Cli.Verification;

/// <summary>Gets a frame of a chunk of a file. The span is valid during the call.</summary>
internal delegate void FileFrameHandler(ulong chunk, in FrameHeader frame, ReadOnlySpan<byte> payload);

/// <summary>
/// Reads every replica of every chunk of a file from its server directly and compares them. Trusts the master only for where the replicas are, and the servers
/// for nothing but their bytes. Memory hardly grows with the file: two numbers per writer, one block of one replica at a time, a line per
/// replica.
/// <list type="number">
/// <item>Ask the master where the chunk is; for an open chunk, ask its active primary how far it is committed.</item>
/// <item>Compare the base of each replica with what the chunks before it came to.</item>
/// <item>Read each replica up to the committed length: frames, chain, checksums; fold the frames once; compare the digests.</item>
/// <item>If anything was found, ask the master again: a chunk that has moved on meanwhile is read again. If a replica is not there, ask once the master has
/// heard what its servers hold.</item>
/// <item>Look at every other copy of the chunk that any server has: does it prove that more was committed, or something else?</item>
/// <item>Ask the master about the writers that have introduced themselves: did it give their ids and epochs away?</item>
/// </list>
/// In the end: copies of chunks that the file should have, and of which the master does not know.
/// </summary>
internal sealed class FileAudit(IWire wire, string master, TimeProvider time, TimeSpan? patience = null)
{
    private const int Rereads = 10;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan PauseBetweenReads = TimeSpan.FromSeconds(1);

    private const int WritersPerCall = 1000;

    private readonly ChunkMap _map = new(wire, master, time, patience);
    private readonly ReplicaReader _reader = new(wire, time);
    private CopyJudge _judge = null!;
    private ulong _fileId;
    private readonly List<Finding> _findings = [];
    private readonly long _begin = time.GetTimestamp();
    private FileFold _fold = null!;
    private long _replicas;
    private long _corrupt;
    private long _divergent;
    private long _unread;
    private uint _foldedUpTo;
    private bool _isWhole = true;

    /// <summary>Gets each frame of the file once, in order: from the first replica on which it verifies.</summary>
    public FileFrameHandler? OnFrame { get; init; }

    /// <summary>Gets each chunk that has a replica which verifies.</summary>
    public Action<AuditedChunk>? OnChunk { get; init; }

    /// <summary>Called with the number of chunks done and of all.</summary>
    public Action<long, long>? Progress { get; init; }

    /// <summary>Findings that are kept in words; all are counted. Default 100.</summary>
    public int MaxFindings { get; init; } = 100;

    /// <summary>Shared by files that are compared with each other.</summary>
    public ClusterLedger Ledger { get; init; } = new();

    /// <summary>What servers hold of all files; null: they are asked about this one.</summary>
    public HeldCopies? Held { get; init; }

    /// <summary>How long to wait, from the beginning of the audit, for replicas that are still to be made. Default: not at all.</summary>
    public TimeSpan RepairPatience { get; init; }

    /// <exception cref="CommandException">There is no such file, or the master does not answer, or an open chunk gets no primary.</exception>
    public async Task<AuditResult> RunAsync(string path, CancellationToken cancellation)
    {
        _fold = new FileFold(Report);
        _judge = new CopyJudge(wire, _map, _reader);
        var stat = await _map.StatAsync(path, cancellation);
        (_fileId, int wanted) = (stat.FileId, (int)stat.Replicas);
        if (Ledger.FaultOfFile(_fileId, path) is { } fault)
            Report(new Finding(FindingKind.Corrupt, fault));
        var held = (Held ?? await HeldCopies.ListAsync(wire, await _map.ServersAsync(cancellation), _fileId, cancellation)).OfFile(_fileId);
        var copies = held.ToLookup(c => c.Handle);
        ulong next = 0;
        while (true)
        {
            var located = await _map.LocateAsync(path, next, cancellation);
            foreach (var chunk in located.Chunks)
            {
                if (chunk.Index != next)
                    Report(new Finding(FindingKind.Corrupt, $"chunk {next} of {path} is missing; the master names {chunk.Index} next"));
                if (Ledger.FaultOfChunk(chunk.Handle, path, chunk.Index) is { } reused)
                    Report(new Finding(FindingKind.Corrupt, $"chunk {chunk.Index} ({new ChunkHandle(chunk.Handle)}): {reused}", null, chunk.Handle));
                await AuditAsync(path, chunk, wanted, copies[chunk.Handle], cancellation);
                next = chunk.Index + 1;
                Progress?.Invoke((long)next, (long)located.ChunkCount);
            }
            if (next < located.ChunkCount && located.Chunks.Count > 0)
                continue;
            foreach (var copy in held.Where(c => c.Tail > 0 && !Ledger.Knows(c.Handle)))
                Report(await _judge.JudgeUnknownAsync(path, copy, cancellation));
            return new AuditResult(path, (long)next, _replicas, _fold.Records, _fold.Duplicates, _fold.Gaps, _corrupt, _divergent, _unread, _findings);
        }
    }

    private async Task AuditAsync(string path, ChunkLocation chunk, int wanted, IEnumerable<HeldCopy> copies, CancellationToken cancellation)
    {
        List<Finding>? ofBases = null;
        long recordsBefore = _fold.Records;
        bool wasWhole = _isWhole;
        _foldedUpTo = 0;
        _fold.BeginChunk();
        for (int reread = 0; ; reread++)
        {
            // Step 1.
            uint length;
            try
            {
                (chunk, length) = await _map.SettleAsync(path, chunk, cancellation);
            }
            catch (CommandException e) when (e.ExitCode == ExitCode.Temporary)
            {
                _isWhole = false;
                string whoHas = string.Join(", ", copies.Select(c => $"{c.Server.Address} has {c.Tail} bytes"));
                Report(new Finding(FindingKind.Unread, $"{e.Message}{(whoHas.Length > 0 ? $". Of this chunk {whoHas}" : "")}", null, chunk.Handle));
                return;
            }
            bool lacks = chunk.Members.Count < wanted;
            if (lacks && time.GetElapsedTime(_begin) < RepairPatience)
            {
                reread--;
                await Task.Delay(Pause, time, cancellation);
                chunk = await _map.LocateOneAsync(path, chunk.Index, cancellation);
                continue;
            }
            // Step 2, once: the fold goes on with this chunk's frames then.
            ofBases ??= chunk.Index > 0 && wasWhole ? await CompareBasesAsync(chunk, cancellation) : [];
            var findings = ofBases.Where(f => chunk.Members.Any(m => m.Address == f.Server)).ToList();
            var first = await ReadReplicasAsync(chunk, length, findings, cancellation);
            int unread = findings.Count(f => f is { Kind: FindingKind.Unread, Server: not null });
            int read = chunk.Members.Count - unread;
            if (unread > 0 && chunk.Members.Count - findings.Count >= wanted)
            {
                // As many as the file should have were read: the others are of servers that are gone, and that the master still has in its
                // log.
                findings.RemoveAll(f => f is { Kind: FindingKind.Unread, Server: not null });
                unread = 0;
            }
            if (unread > 0 && time.GetElapsedTime(_begin) < RepairPatience)
            {
                reread--;
                await Task.Delay(PauseBetweenReads, time, cancellation);
                chunk = await _map.LocateOneAsync(path, chunk.Index, cancellation);
                continue;
            }
            if (lacks)
                findings.Add(new Finding(FindingKind.Unread, $"chunk {chunk.Index} has {chunk.Members.Count} of {wanted} replicas", null, chunk.Handle));

            // Step 4.
            bool isConfirmed = false;
            if (findings.Count > 0 && reread < Rereads)
            {
                (var again, isConfirmed) = await _map.LocateAgainAsync(path, chunk.Index, findings, cancellation);
                if (again.Version != chunk.Version || again.Sealed != chunk.Sealed || !again.Members.ToHashSet().SetEquals(chunk.Members))
                {
                    chunk = again;
                    continue;
                }
            }
            findings.ForEach(f => Report(f.Settled(isConfirmed)));
            _replicas += read;
            foreach (var copy in copies)
                Report(await _judge.JudgeAsync(path, chunk, length, first?.Server, copy, cancellation));
            foreach (var member in chunk.Members.Where(m => !copies.Any(c => c.Server.ServerId == m.ServerId && c.Index == chunk.Index)))
                Report(await _judge.CompareIdentityAsync(_fileId, chunk, member, cancellation));
            await CompareWritersAsync(path, chunk, cancellation);
            if (first is not null)
                OnChunk?.Invoke(new AuditedChunk(path, chunk.Index, chunk.Handle, length, first.Value.Digest, _fold.Records - recordsBefore));
            return;
        }
    }

    /// <summary>
    /// Asked after the frames were read: the master gives an id or an epoch away before anybody uses it. It knows no names of writers that
    /// were retired, and frames have no names, so whether an id stands for the same name as ever cannot be seen.
    /// </summary>
    private async Task CompareWritersAsync(string path, ChunkLocation chunk, CancellationToken cancellation)
    {
        foreach (var some in _fold.TakeIntroduced().Chunk(WritersPerCall))
        {
            var known = (await _map.IdentifyAsync(path, _fileId, some.Select(w => w.Writer).Distinct(), cancellation)).ToDictionary(w => w.Writer);
            foreach (var (writer, epoch) in some)
            {
                if (Ledger.FaultOfWriter(writer, path) is { } shared)
                    Report(new Finding(FindingKind.Corrupt, $"chunk {chunk.Index}: {shared}"));
                if (!known.TryGetValue(writer, out var word))
                    continue;
                if (word.Standing is IdentifiedAs.WriterNeverGiven)
                    Report(new Finding(FindingKind.Corrupt, $"chunk {chunk.Index}: writer {writer} begins epoch {epoch}; the master never gave that id away: its log has lost that, or is an older one"));
                else if (word.Standing is IdentifiedAs.WriterRegistered && word.Epoch < epoch)
                    Report(new Finding(FindingKind.Corrupt, $"chunk {chunk.Index}: writer {writer} begins epoch {epoch}; the master has given away epochs up to {word.Epoch}: its log has lost some, or is an older one"));
            }
        }
    }

    /// <summary>What each replica starts from, against the fold of the chunks before.</summary>
    private async Task<List<Finding>> CompareBasesAsync(ChunkLocation chunk, CancellationToken cancellation)
    {
        var findings = new List<Finding>();
        foreach (string server in chunk.Members.Select(m => m.Address))
        {
            var request = new FetchBaseRequest { Handle = chunk.Handle, Own = true };
            var result = await wire.LinkTo(server).CallAsync(MessageKind.FetchBase, request, default, CallTime, cancellation);
            // A server that does not answer is found when its frames are read.
            if (result.IsAnswered && result.Answer<FetchBaseReply>().Status is Status.Ok && _fold.FaultOfBase(result.Payload.Span) is { } fault)
                findings.Add(Of(chunk, FindingKind.Corrupt, server, fault));
            result.Payload.Release();
        }
        return findings;
    }

    /// <summary>The first replica that verifies, and whose it is; null: none does.</summary>
    private async Task<(ServerAddress Server, string Digest)?> ReadReplicasAsync(ChunkLocation chunk, uint length, List<Finding> findings, CancellationToken cancellation)
    {
        var handle = new ChunkHandle(chunk.Handle);
        (ServerAddress Server, string Digest)? first = null;
        foreach (var member in chunk.Members.OrderBy(m => m.ServerId == chunk.Primary?.ServerId ? 0 : 1))
        {
            string server = member.Address;
            var content = await _reader.ReadAsync(member, handle, length, Fold(chunk.Index), cancellation);
            if (content.Kind is { } kind)
                findings.Add(Of(chunk, kind, server, content.Fault!));
            else if (first is not { } good)
                first = (member, content.Digest);
            else if (content.Digest != good.Digest)
                findings.Add(Of(chunk, FindingKind.Divergent, server,
                    $"differs from {good.Server.Address} at offset {await _reader.FirstDifferenceAsync(good.Server.Address, server, handle, length, cancellation)}"));
        }
        _isWhole = _foldedUpTo >= length;
        if (!_isWhole)
        {
            bool mayBeThere = findings.Any(f => f.Kind is FindingKind.Unread);
            findings.Add(new Finding(mayBeThere ? FindingKind.Unread : FindingKind.Corrupt,
                $"chunk {chunk.Index} ({handle}): no replica {(mayBeThere ? "that could be read " : "")}verifies beyond offset {_foldedUpTo} of {length}", null, chunk.Handle));
        }
        return first;
    }

    /// <summary>Each frame once, whichever replica has it first; what follows is known to be the same by its digest.</summary>
    private FrameHandler Fold(ulong chunk) => (in FrameHeader frame, ReadOnlySpan<byte> payload) =>
    {
        if (frame.Offset < _foldedUpTo)
            return;
        _foldedUpTo = frame.End;
        _fold.Add(chunk, frame, payload);
        OnFrame?.Invoke(chunk, frame, payload);
    };

    private static Finding Of(ChunkLocation chunk, FindingKind kind, string server, string what) =>
        new(kind, $"chunk {chunk.Index} ({new ChunkHandle(chunk.Handle)}) on {server}: {what}", server, chunk.Handle);

    private void Report(Finding? finding)
    {
        if (finding is null)
            return;
        switch (finding.Kind)
        {
            case FindingKind.Corrupt:
                _corrupt++;
                break;
            case FindingKind.Divergent:
                _divergent++;
                break;
            case FindingKind.Unread:
                _unread++;
                break;
        }
        if (_findings.Count < MaxFindings)
            _findings.Add(finding);
    }
}
