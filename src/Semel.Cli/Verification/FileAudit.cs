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
/// for nothing but their bytes. Memory does not grow with the file: two numbers per writer, one block of one replica at a time.
/// <list type="number">
/// <item>Ask the master where the chunk is; for an open chunk, ask its active primary how far it is committed.</item>
/// <item>Compare the base of each replica with what the chunks before it came to.</item>
/// <item>Read each replica up to the committed length: frames, chain, checksums; fold the frames once; compare the digests.</item>
/// <item>If anything was found, ask the master again: a chunk that has moved on meanwhile is read again. If a replica is not there, ask once the master has
/// heard what its servers hold.</item>
/// </list>
/// </summary>
internal sealed class FileAudit(IWire wire, string master, TimeProvider time)
{
    private const int Rereads = 10;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly ChunkMap _map = new(wire, master, time);
    private readonly ReplicaReader _reader = new(wire, time);
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

    /// <summary>How long to wait, from the beginning of the audit, for replicas that are still to be made. Default: not at all.</summary>
    public TimeSpan RepairPatience { get; init; }

    /// <exception cref="CommandException">There is no such file, or the master does not answer, or an open chunk gets no primary.</exception>
    public async Task<AuditResult> RunAsync(string path, CancellationToken cancellation)
    {
        _fold = new FileFold(Report);
        int wanted = await _map.ReplicasOfAsync(path, cancellation);
        ulong next = 0;
        while (true)
        {
            var located = await _map.LocateAsync(path, next, cancellation);
            foreach (var chunk in located.Chunks)
            {
                if (chunk.Index != next)
                    Report(new Finding(FindingKind.Corrupt, $"chunk {next} of {path} is missing; the master names {chunk.Index} next"));
                await AuditAsync(path, chunk, wanted, cancellation);
                next = chunk.Index + 1;
                Progress?.Invoke((long)next, (long)located.ChunkCount);
            }
            if (next >= located.ChunkCount || located.Chunks.Count == 0)
                return new AuditResult(path, (long)next, _replicas, _fold.Records, _fold.Duplicates, _fold.Gaps, _corrupt, _divergent, _unread, _findings);
        }
    }

    private async Task AuditAsync(string path, ChunkLocation chunk, int wanted, CancellationToken cancellation)
    {
        List<Finding>? ofBases = null;
        long recordsBefore = _fold.Records;
        bool wasWhole = _isWhole;
        _foldedUpTo = 0;
        _fold.BeginChunk();
        for (int reread = 0; ; reread++)
        {
            // Step 1.
            (chunk, uint length) = await _map.SettleAsync(path, chunk, cancellation);
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
            _replicas += chunk.Members.Count - findings.Count(f => f is { Kind: FindingKind.Unread, Server: not null });
            if (first is not null)
                OnChunk?.Invoke(new AuditedChunk(path, chunk.Index, chunk.Handle, length, first.Digest, _fold.Records - recordsBefore));
            return;
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

    /// <summary>The first replica that verifies; null: none does.</summary>
    private async Task<ReplicaContent?> ReadReplicasAsync(ChunkLocation chunk, uint length, List<Finding> findings, CancellationToken cancellation)
    {
        var handle = new ChunkHandle(chunk.Handle);
        ReplicaContent? first = null;
        foreach (string server in chunk.Members.Select(m => m.Address).OrderBy(a => a == chunk.Primary?.Address ? 0 : 1))
        {
            var content = await _reader.ReadAsync(server, handle, length, Fold(chunk.Index), cancellation);
            if (content.Kind is { } kind)
                findings.Add(Of(chunk, kind, server, content.Fault!));
            else if (first is null)
                first = content;
            else if (content.Digest != first.Digest)
                findings.Add(Of(chunk, FindingKind.Divergent, server,
                    $"differs from {first.Server} at offset {await _reader.FirstDifferenceAsync(first.Server, server, handle, length, cancellation)}"));
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

    private void Report(Finding finding)
    {
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
