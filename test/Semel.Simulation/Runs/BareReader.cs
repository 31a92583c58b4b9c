using Semel.Protocol.Buffers;
using Semel.Protocol.Frames;
using Semel.Protocol.Identity;
using Semel.Protocol.Messages;
using Semel.Protocol.Wires;
using Semel.Simulation.Checking;
using Semel.Simulation.Kernel;

namespace Semel.Simulation.Runs;

/// <summary>A reader that asks any replica, whoever it is, for what is committed. It never learns where the end is: it only sees a prefix grow.</summary>
internal sealed class BareReader(SimulatedProcess process, IWire wire, string master, string path, TailHistory history)
{
    private readonly SimulatedRandom _random = process.Random.Fork();

    public async Task RunAsync()
    {
        for (ulong index = 0; ; index++)
        {
            uint offset = 0, chain = 0;
            while (true)
            {
                var located = await LocateAsync(index);
                if (located is { Sealed: true } && offset == located.SealedLength)
                    break;
                if (located is not null)
                    (offset, chain) = await ReadSomeAsync(located, offset, chain);
                await Task.Delay(_random.Between(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(40)), process.Time);
            }
        }
    }

    private async Task<ChunkLocation?> LocateAsync(ulong index)
    {
        var result = await wire.LinkTo(master).CallAsync(
            MessageKind.LocateChunks, new LocateChunksRequest { Path = path, FirstIndex = index, Limit = 1 }, Payload.Empty, TimeSpan.FromMilliseconds(500));
        result.Payload.Release();
        return result.IsAnswered && result.Answer<LocateChunksReply>() is { Chunks: [var chunk, ..] } ? chunk : null;
    }

    private async Task<(uint Offset, uint Chain)> ReadSomeAsync(ChunkLocation chunk, uint offset, uint chain)
    {
        var member = _random.Pick(chunk.Members);
        var result = await wire.LinkTo(member.Address).CallAsync(MessageKind.ReadFrames, new ReadFramesRequest
        {
            Handle = chunk.Handle,
            Offset = offset,
            MaxBytes = (uint)_random.Below(100_000),
            WaitMs = _random.OneIn(2) ? 100u : 0,
        }, Payload.Empty, TimeSpan.FromMilliseconds(500));
        var payload = result.Payload;
        if (payload.Length > 0)
        {
            var reader = new FrameReader(payload.Span, offset, offset == 0 ? FrameHeader.ChainSeed(new ChunkHandle(chunk.Handle)) : chain);
            while (reader.Read())
            {
                if (reader.Header.Kind != FrameKind.Data)
                    continue;
                var rest = reader.Payload;
                for (int i = 0; RecordBatch.TryTake(ref rest, out var record); i++)
                    history.Saw(new Place(chunk.Index, reader.Header.Offset, i), record);
            }
            if (reader.Fault is not null)
                process.World.Fail($"{path}: reader {history.Reader} got bad frames of chunk {chunk.Index} from {member.Address}: {reader.Fault}");
            (offset, chain) = (reader.Offset, reader.Chain);
        }
        payload.Release();
        return (offset, chain);
    }
}
