using Semel.Client;
using Semel.Cli.Terminal;
using Semel.Protocol.Frames;

namespace Semel.Cli.Commands.Bench;

/// <summary>What <c>semel bench append</c> or <c>semel bench tail</c> is to measure.</summary>
/// <param name="Records">Of each run. The most of them, with a <paramref name="Duration"/>.</param>
/// <param name="Duration">Not null: how long each run starts appends.</param>
/// <param name="InFlight">Appends (of <paramref name="Batch"/> records) that each writer has under way at a time. No bound with a <paramref name="Rate"/>.</param>
/// <param name="Rate">Records per second that are to be appended, whatever becomes of those before; null: a closed loop.</param>
/// <param name="KnownWriters">Writers that each file knows already when the others begin, and that append nothing.</param>
/// <param name="Readers">Readers that follow the file; each record then carries its time.</param>
/// <param name="Master">An existing cluster; null: a temporary one of <paramref name="ChunkServers"/> processes.</param>
/// <param name="WarmMemory">Bytes of free memory to be filled with pages that can be taken back, before anything else.</param>
internal sealed record BenchOptions(
    long Records, TimeSpan? Duration, int Size, int Writers, int Files, int Replicas, FileDurability Durability, Delivery Delivery, int Batch, int InFlight, double? Rate, int KnownWriters, int Readers,
    uint ChunkSize, int ChunkServers, TimeSpan WarmUp, int Runs, bool Verify, bool Machine, long WarmMemory, string? Master)
{
    /// <summary>Bytes at the start of a record that say when its append began.</summary>
    public const int StampBytes = 8;

    /// <summary>What a chunk server allows unless it is told otherwise (<c>max_writers_per_file</c>).</summary>
    private const int MostWritersOfAFile = 10_000;

    /// <summary>Refuses what makes no sense together.</summary>
    /// <exception cref="CommandException">Names the options and what to change.</exception>
    public void Check()
    {
        if (Files > Writers)
            throw CommandException.Usage($"--files {Files} is more than --writers {Writers}: some files would have no writer. Raise --writers or lower --files.");
        int writersOfAFile = KnownWriters + (Writers + Files - 1) / Files;
        if (KnownWriters > 0 && writersOfAFile > MostWritersOfAFile)
            throw CommandException.Usage($"--known-writers {KnownWriters} and --writers {Writers} make {writersOfAFile} writers of one file, which knows {MostWritersOfAFile} at most. Lower one of them.");
        if (Records < Writers)
            throw CommandException.Usage($"--records {Records} is less than --writers {Writers}: some writers would have nothing to append. Raise --records or lower --writers.");
        if (Master is null && Replicas > ChunkServers)
            throw CommandException.Usage($"--replicas {Replicas} needs as many chunk servers; the temporary cluster has {ChunkServers}. Lower --replicas or raise --chunkservers.");
        if (Records / Writers < Batch)
            throw CommandException.Usage($"--batch {Batch} is more than the {Records / Writers} records of each writer. Lower --batch or raise --records.");
        long limit = ChunkLimits.MaxRecordLength(ChunkSize);
        if (Size > limit)
            throw CommandException.Usage($"--size {Size} is more than {limit}, a quarter of a chunk and at most 16 MiB. Lower --size{(Master is null ? " or raise --chunk-size" : "")}.");
        if (Batch > 1 && (long)Batch * RecordBatch.Footprint(Size) > RecordBatch.Footprint((int)limit))
            throw CommandException.Usage($"--batch {Batch} records of --size {Size} are more than {limit} bytes, which one atomic batch may have. Lower one of them.");
        if (Verify && Delivery is Delivery.ExactlyOnce && Duration is null && Records > 2_000_000_000)
            throw CommandException.Usage($"--records {Records} is too many to verify. Lower it, or add --no-verify.");
        if (Rate is { } rate && Records / rate > 24 * 3600)
            throw CommandException.Usage($"--records {Records} at --rate {rate} would take {Records / rate / 3600:0} hours. Lower --records or raise --rate.");
        if (Readers > 0 && Size < StampBytes)
            throw CommandException.Usage($"--size {Size} has no room for the {StampBytes} bytes that say when a record's append began. Raise --size.");
    }
}
