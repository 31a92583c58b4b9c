using Semel.Client.Cluster;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;

namespace Semel.Client.Reading;

/// <summary>What the next step through a chunk gave: a block, or one of two ends.</summary>
internal readonly record struct ChunkStep(VerifiedBlock? Block, bool IsEndOfFile)
{
    public static readonly ChunkStep EndOfChunk;
    public static readonly ChunkStep EndOfFile = new(null, true);
}

/// <summary>The file that is read.</summary>
internal sealed record SourceFile(string Path, ulong FileId, uint ChunkCapacity);

/// <summary>
/// Reads one chunk from an offset on, block by block, from whichever replica serves. An open chunk is read from its primary first, a sealed one from any.
/// The end of the file is believed only from the primary that the master names, when it is settled: it knows of every record that was acknowledged before the
/// master was asked; and from the master, when it says where a chunk ends that waits for its members. When the primary fails the reader
/// tells the master, who finds another.
/// </summary>
internal sealed class ChunkReading
{
    private static readonly TimeSpan LongPoll = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly ClientParts _parts;
    private readonly SourceFile _file;
    private readonly bool _follow;
    private readonly RecordPosition _from;
    private readonly ChunkHandle _handle;
    private readonly Backoff _backoff;
    private ChunkLocation _location;
    private List<ServerAddress> _candidates = [];
    private int _candidate;
    private uint _offset;
    private uint? _chain;
    private long _lastProgress;
    private RoundFaults _faults;

    /// <summary>What went wrong since the location was last asked for.</summary>
    private struct RoundFaults
    {
        public int Corrupt;
        public int BadPosition;
        public int Other;
        public int Rounds;
        public bool HasPrimaryFailed;
        public string Last;
    }

    /// <param name="from">
    /// Where the reading begins, as its caller gave it; only its place in the chunk counts when it is of this one.
    /// </param>
    public ChunkReading(ClientParts parts, SourceFile file, ChunkLocation location, RecordPosition from, bool follow)
    {
        uint offset = from.ChunkIndex == location.Index ? from.FrameOffset : 0;
        _parts = parts;
        _file = file;
        _follow = follow;
        _handle = new ChunkHandle(location.Handle);
        _backoff = new Backoff(parts.Jitter);
        _from = from;
        _offset = offset;
        _chain = offset == 0 ? FrameHeader.ChainSeed(_handle) : null;
        _location = location;
        Order(location);
    }

    /// <summary>The next block, or the end. Not to be called again before it completes, nor after an end.</summary>
    public async Task<ChunkStep> NextAsync(CancellationToken cancellation)
    {
        _lastProgress = _parts.Time.GetTimestamp();
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            if (_candidate >= _candidates.Count)
                await LookAgainAsync(cancellation);
            else if (await AskAsync(_candidates[_candidate], cancellation) is { } step)
                return step;
        }
    }

    private async Task<ChunkStep?> AskAsync(ServerAddress server, CancellationToken cancellation)
    {
        var wait = _follow ? LongPoll : TimeSpan.Zero;
        var request = new ReadFramesRequest
        {
            Handle = _handle.Value,
            Offset = _offset,
            MaxBytes = (uint)_parts.Options.ReadBlockBytes,
            WaitMs = (uint)wait.TotalMilliseconds,
        };
        var result = await _parts.Wire.LinkTo(server.Address).CallAsync(MessageKind.ReadFrames, request, default, wait + AnswerTimeout, cancellation);
        if (!result.IsAnswered)
        {
            cancellation.ThrowIfCancellationRequested();
            _faults.Other++;
            return NextReplica(server, result.Detail ?? result.Outcome.ToString());
        }
        var reply = result.Answer<ReadFramesReply>();
        if (reply.Status != ReadStatus.ReadOk)
        {
            result.Payload.Release();
            Count(reply.Status);
            return NextReplica(server, $"{reply.Status} {reply.Detail}".TrimEnd());
        }
        if (result.Payload.Length == 0)
        {
            result.Payload.Release();
            return AtTheEnd(server, reply);
        }
        if (!VerifiedBlock.TryTake(result.Payload, _file, _location.Index, _offset, _chain, out var block, out string? fault))
        {
            result.Payload.Release();
            _parts.Logger.ReplicaCorrupt(server.Address, _handle.ToString(), fault);
            _faults.Corrupt++;
            return NextReplica(server, fault);
        }
        if (IsAtFrom && _from.RecordIndex > block.RecordsInFirstFrame)
        {
            int records = block.RecordsInFirstFrame;
            block.Release();
            throw NoSuchPlace($"the frame there has {records} records");
        }
        _offset = block.End;
        _chain = block.Chain;
        Progress();
        return new ChunkStep(block, false);
    }

    /// <summary>Nothing at the offset: is it the chunk's end, the file's end, or not known here?</summary>
    private ChunkStep? AtTheEnd(ServerAddress server, ReadFramesReply reply)
    {
        if (reply.Sealed && _offset >= reply.Committed)
            return IsAtFrom && _from.RecordIndex > 0 ? throw NoSuchPlace("the chunk ends there") : ChunkStep.EndOfChunk;
        bool isFresh = reply.Settled && IsPrimary(server) && new Ballot(reply.Ballot) >= Ballot.OfVersion(_location.Version);
        bool isSettled = _location.HasSettledEnd && reply.Committed == _location.SettledEnd;     // no primary could have acknowledged more since the master said so
        if ((!isFresh && !isSettled) || _offset < reply.Committed)
        {
            _faults.Other++;
            return NextReplica(server, "the replica does not know where the chunk ends now");
        }
        // Who has read or appended a record knows of no more than is committed, so this reader's frame would be there.
        if (IsAtFrom && _from.RecordIndex > 0)
            throw NoSuchPlace("the file ends there");
        Progress();
        return _follow ? null : ChunkStep.EndOfFile;
    }

    /// <summary>The next step is the first one of the whole reading, at the position that the caller gave.</summary>
    private bool IsAtFrom => _from.ChunkIndex == _location.Index && _from.FrameOffset == _offset;

    private InvalidPositionException NoSuchPlace(string reason) =>
        new(_file.Path, _from, $"{_file.Path} has no record at {_from}, and none before it in that frame: {reason}. Use a position that came from this file.");

    private void Count(ReadStatus status)
    {
        switch (status)
        {
            case ReadStatus.ReadCorrupt:
                _faults.Corrupt++;
                break;
            case ReadStatus.ReadPastEnd or ReadStatus.ReadNotABoundary when _chain is null:
                _faults.BadPosition++;
                break;
            default:
                _faults.Other++;
                break;
        }
    }

    private ChunkStep? NextReplica(ServerAddress server, string reason)
    {
        _parts.Logger.ReplicaDidNotServe(server.Address, _handle.ToString(), reason);
        _faults.Last = $"{server.Address}: {reason}";
        _faults.HasPrimaryFailed |= IsPrimary(server);
        _candidate++;
        return null;
    }

    private bool IsPrimary(ServerAddress server) => server.ServerId == _location.Primary?.ServerId;

    private void Progress()
    {
        _lastProgress = _parts.Time.GetTimestamp();
        _faults = default;
        _backoff.Reset();
    }

    /// <summary>Every replica was asked in vain: the master may know better.</summary>
    private async Task LookAgainAsync(CancellationToken cancellation)
    {
        _faults.Rounds++;
        if (_faults is { Rounds: >= 2, Other: 0, BadPosition: 0, Corrupt: > 0 })
            throw new CorruptDataException($"No replica of chunk {_location.Index} ({_handle}) of {_file.Path} verifies at offset {_offset}; the last: {_faults.Last}. Run `semel verify {_file.Path}`.");
        if (_faults is { Rounds: >= 2, Other: 0, BadPosition: > 0 })
            throw new InvalidPositionException(_file.Path, _from, $"{_file.Path} has nothing at {_from}: no frame begins there, or the chunk is shorter ({_faults.Last}). Use a position that came from this file.");
        var wait = _backoff.Next();
        if (_parts.Time.GetElapsedTime(_lastProgress) + wait >= _parts.Options.OperationTimeout)
            throw new ClusterUnavailableException($"No replica of chunk {_location.Index} ({_handle}) of {_file.Path} served within {_parts.Options.OperationTimeout.TotalSeconds:0.###} s; the last: {_faults.Last}. Try again, or look at `semel cluster status`.");
        if (_faults.Rounds > 1)
            await Task.Delay(wait, _parts.Time, cancellation);

        if (!_location.Sealed && _faults.HasPrimaryFailed)
            await SuspectAsync(cancellation);
        int rounds = _faults.Rounds;
        _faults = new RoundFaults { Rounds = rounds, Last = _faults.Last };
        var chunk = await ChunkDirectory.FindAsync(_parts, _file, _location.Index, cancellation);
        if (chunk is null || chunk.Handle != _location.Handle)
            throw new PathNotFoundException(_file.Path, $"Chunk {_location.Index} of {_file.Path} is gone: the file was deleted.");
        Order(chunk);
    }

    /// <summary>Makes the master look after the open chunk's primary.</summary>
    private async Task SuspectAsync(CancellationToken cancellation)
    {
        var request = new LocateTailRequest
        {
            Path = _file.Path,
            FileId = _file.FileId,
            SuspectHandle = _location.Handle,
            SuspectVersion = _location.Version,
        };
        await _parts.Master.AskOnceAsync<LocateTailReply>(MessageKind.LocateTail, request, AnswerTimeout, cancellation);
        cancellation.ThrowIfCancellationRequested();
    }

    private void Order(ChunkLocation location)
    {
        _location = location;
        _candidate = 0;
        _candidates = [.. location.Members];
        if (location.Sealed && _candidates.Count > 0)
        {
            int first = _parts.Jitter.Next(_candidates.Count);
            _candidates = [.. _candidates[first..], .. _candidates[..first]];
        }
        else if (location.Primary is { } primary)
        {
            _candidates.RemoveAll(s => s.ServerId == primary.ServerId);
            _candidates.Insert(0, primary);
        }
    }
}
