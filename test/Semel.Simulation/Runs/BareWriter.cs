using Google.Protobuf;
using Semel.Protocol.Buffers;
using Semel.Protocol.Checksums;
using Semel.Protocol.Frames;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>
/// A writer that speaks the protocol by itself, as little as it allows: no care, no patience, every batch alone in a call, repeated as soon as anything is unclear.
/// It meets what a careful client avoids, and its answers are checked one by one. One incarnation.
/// </summary>
internal sealed class BareWriter(SimulatedProcess process, IWire wire, string master, string path, WriterHistory history, RunPlan plan) : IRunWriter
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(250);

    private readonly SortedDictionary<ulong, Batch> _unacked = [];
    /// <summary>Far below the time that a run allows for its end.</summary>
    private static readonly TimeSpan LongestThought = TimeSpan.FromSeconds(20);

    private readonly SimulatedRandom _random = process.Random.Fork();
    private ulong _writer;
    private uint _epoch;
    private ulong _next;
    private ulong _ackBallot;
    private ChunkLocation? _tail;
    private int _silent;
    private bool _settled;       // the window's answers brought us no further

    /// <summary>A newer incarnation took over.</summary>
    public bool IsFenced { get; private set; }

    public async Task RunAsync()
    {
        await RegisterAsync();
        bool initialised = false;
        while (!IsFenced)
        {
            await LocateAsync();
            if (!initialised && !(initialised = await InitAsync()))
                continue;
            while (!IsFenced)
            {
                Fill();
                if (_unacked.Count == 0)
                    return;
                _settled = true;
                await Task.WhenAll(_unacked.Values.ToList().Select(AppendAsync));
                if (!_settled)
                    break;
                if (plan.ThinkTime > TimeSpan.Zero)
                    await Task.Delay(_random.Between(TimeSpan.Zero, Least(plan.ThinkTime * plan.Window * 2, LongestThought)), process.Time);
            }
        }
    }

    private static TimeSpan Least(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private async Task RegisterAsync()
    {
        while (true)
        {
            var reply = await CallAsync<RegisterWriterReply>(master, MessageKind.RegisterWriter, new RegisterWriterRequest { Path = path, Name = history.Name }, default);
            if (reply is { Status: Status.Ok })
            {
                (_writer, _epoch) = (reply.Writer, reply.Epoch);
                return;
            }
            await PauseAsync();
        }
    }

    private async Task LocateAsync()
    {
        await PauseAsync();
        while (true)
        {
            var request = new LocateTailRequest { Path = path, Create = true };
            if (_silent > 2 && _tail is not null)
            {
                (request.SuspectHandle, request.SuspectVersion) = (_tail.Handle, _tail.Version);
                _silent = 0;
            }
            var reply = await CallAsync<LocateTailReply>(master, MessageKind.LocateTail, request, default, factor: 8);
            if (reply is { Status: Status.Ok, Chunk: { } chunk })
            {
                _tail = chunk;
                return;
            }
            await PauseAsync();
        }
    }

    private async Task<bool> InitAsync()
    {
        var reply = await CallAsync<AppendReply>(_tail!.Primary.Address, MessageKind.InitWriter,
            new InitWriterRequest { Handle = _tail.Handle, Writer = _writer, Epoch = _epoch, KnownBallot = _ackBallot }, default);
        switch (reply?.Status)
        {
            case AppendStatus.Committed:
                _ackBallot = Math.Max(_ackBallot, reply.Ballot);
                _next = reply.LastSequence + 1;
                history.Resumed(_epoch, reply.LastSequence);
                return true;
            case AppendStatus.Fenced:
                IsFenced = true;
                return false;
            default:
                _silent++;
                return false;
        }
    }

    private void Fill()
    {
        while (_unacked.Count < plan.Window && _next <= (ulong)plan.RecordsPerWriter)
        {
            int count = (int)Math.Min(plan.BatchOneIn > 0 && _random.OneIn(plan.BatchOneIn) ? 2 + (ulong)_random.Below(4) : 1, (ulong)plan.RecordsPerWriter - _next + 1);
            var payload = new MemoryStream();
            int taken = 0;
            for (; taken < count; taken++)
            {
                byte[] record = history.Content[_next + (ulong)taken];
                if (taken > 0 && payload.Length + record.Length > 12_000)
                    break;
                byte[] bytes = new byte[RecordBatch.Footprint(record.Length)];
                RecordBatch.Write(bytes, record);
                payload.Write(bytes);
            }
            history.WillSend(_epoch, _next, taken);
            _unacked.Add(_next, new Batch(_next, taken, payload.ToArray()));
            _next += (ulong)taken;
        }
    }

    private async Task AppendAsync(Batch batch)
    {
        var request = new AppendRequest
        {
            Handle = _tail!.Handle,
            KnownBallot = _tail.Version << 24,
            Writer = _writer,
            Epoch = _epoch,
            FirstSequence = batch.First,
            RecordCount = (uint)batch.Count,
            PayloadCrc = Crc32C.Compute(batch.Payload),
        };
        // What the answer must know: answers overtake each other, so what came meanwhile does not count.
        var (acknowledged, ackBallot) = (_unacked.Keys.First() - 1, _ackBallot);
        var reply = await CallAsync<AppendReply>(_tail.Primary.Address, MessageKind.Append, request, batch.Payload);
        if (IsFenced || !_unacked.ContainsKey(batch.First))
            return;
        switch (reply?.Status)
        {
            case AppendStatus.Committed:
            case AppendStatus.AlreadyCommitted:
                bool known = reply.Status == AppendStatus.Committed;
                for (int i = 0; i < batch.Count; i++)
                    history.WasAcknowledged(_epoch, batch.First + (ulong)i, known ? new Place(reply.ChunkIndex, reply.Offset, i) : null);
                _unacked.Remove(batch.First);
                _ackBallot = Math.Max(_ackBallot, reply.ChunkIndex == _tail.Index ? reply.Ballot : 0);
                _silent = 0;
                return;
            case AppendStatus.Fenced:
                IsFenced = true;
                return;
            case AppendStatus.OutOfOrder or AppendStatus.UnknownWriter:
                // Definite only if the answering view is not older than that of our last acknowledgement.
                ulong last = reply.Status == AppendStatus.OutOfOrder ? reply.LastSequence : 0;
                if (reply.Ballot >= ackBallot && last < acknowledged)
                    process.World.Fail($"{path}: writer {history.Name} had {acknowledged} records acknowledged, the primary of {_tail.Index} in ballot {reply.Ballot >> 24}.{reply.Ballot & 0xffffff} knows {last}");
                break;
            case AppendStatus.OperationIdReused or AppendStatus.Refused or AppendStatus.TooBig or AppendStatus.TooManyWriters:
                process.World.Fail($"{path}: writer {history.Name} was refused batch {batch.First}+{batch.Count}: {reply.Status} {reply.Detail}");
                break;
            default:
                if (reply is null or { Status: AppendStatus.NotPrimary })
                    _silent++;
                break;
        }
        _settled = false;
    }

    private Task PauseAsync() => Task.Delay(_random.Between(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(10)), process.Time);

    private async Task<T?> CallAsync<T>(string address, MessageKind kind, IMessage request, byte[]? payload, int factor = 1) where T : class, IMessage
    {
        var result = await wire.LinkTo(address).CallAsync(kind, request, Payload.CopyOf(payload), Patience * factor);
        result.Payload.Release();
        return result.IsAnswered ? result.Answer<T>() : null;
    }

    private sealed record Batch(ulong First, int Count, byte[] Payload);
}
