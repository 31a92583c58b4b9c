using System.Text;
using Semel.Protocol.Frames;

namespace Semel.Client;

/// <summary>How often a record may get into the file when answers are lost.</summary>
public enum Delivery
{
    /// <summary>Once, whatever is lost and however often it is repeated. The writer has a name and numbers its records.</summary>
    ExactlyOnce = 1,

    /// <summary>Once or more: a retry after a lost answer appends again. No name, no numbers, no state kept by the file.</summary>
    AtLeastOnce = 2,
}

/// <summary>How a <see cref="RecordWriter"/> behaves. Read once, when the writer is opened.</summary>
public sealed class WriterOptions
{
    /// <summary>Most batches that a writer may have in flight: the file remembers the results of a writer's last 8.</summary>
    public const int MostInFlightBatches = 5;

    /// <summary>
    /// Who writes: 1 to 128 bytes of UTF-8, one process at a time. Opening the same name again goes on after <see cref="RecordWriter.LastSequence"/> and fences
    /// the earlier incarnation. Null (default): a new random name, so nothing can be resumed. Only for <see cref="Delivery.ExactlyOnce"/>.
    /// </summary>
    public string? Name { get; set; }

    /// <summary>
    /// What to do when the file has forgotten the writer, because it was idle for long and the file needed its room. False (default): fail with a
    /// <see cref="WriterExpiredException"/>. True: begin again at sequence 1, as a writer that never was; only right if nothing that it appended comes again.
    /// </summary>
    public bool StartAnewIfExpired { get; set; }

    /// <summary>
    /// True: begin again at sequence 1, as a writer that never was, whatever the name's writer has appended before. Its records stay in the
    /// file, under its
    /// <see cref="SemelRecord.WriterId"/>; its incarnations are fenced. Only for a source that is another one than before: what comes again
    /// is appended again. Default false.
    /// </summary>
    public bool StartAnew { get; set; }

    /// <summary>Default <see cref="Delivery.ExactlyOnce"/>.</summary>
    public Delivery Delivery { get; set; } = Delivery.ExactlyOnce;

    /// <summary>
    /// Bytes of records that are taken and not yet acknowledged; at the bound appends wait for room. One record is always taken. 64 KiB to 4 GiB; default 64 MiB.
    /// </summary>
    public long MaxBufferedBytes { get; set; } = 64L << 20;

    /// <summary>
    /// Batches sent and not yet answered. When none is in flight the next leaves at once, so that a lone record never waits; beside others leave atomic batches and those that have
    /// grown to 64 KiB, so that load makes batches grow. 1 to <see cref="MostInFlightBatches"/>; default 3.
    /// </summary>
    public int MaxInFlightBatches { get; set; } = 3;

    /// <summary>Bytes that are put into one batch, unless a single record is larger. 4 KiB to 1 MiB; default 1 MiB.</summary>
    public int MaxBatchBytes { get; set; } = ChunkLimits.TargetBatchBytes;

    /// <summary>
    /// After this time an append fails, in doubt; the writer still goes on trying until it is disposed. Null (default): appends wait for as long as it takes.
    /// 10 ms to 24 h.
    /// </summary>
    public TimeSpan? AppendTimeout { get; set; }

    /// <summary>
    /// A batch that more records may join waits for the answers to those in flight, unless it is so long. A shorter one saves a wait of one round trip at most, and costs everybody
    /// the work of a message.
    /// </summary>
    internal int BytesWorthAMessage { get; set; } = 64 << 10;

    internal void Validate()
    {
        if (!Enum.IsDefined(Delivery))
            throw new ArgumentOutOfRangeException(nameof(Delivery), Delivery, $"Delivery is {(int)Delivery}; it must be ExactlyOnce or AtLeastOnce.");
        if (Name is not null && Delivery == Delivery.AtLeastOnce)
            throw new ArgumentException($"The writer name '{Name}' has no use with at-least-once delivery. Leave it out, or use ExactlyOnce.", nameof(Name));
        if (Name is not null && Encoding.UTF8.GetByteCount(Name) is var bytes and (0 or > 128))
            throw new ArgumentException($"The writer name has {bytes} bytes; 1 to 128 are allowed.", nameof(Name));
        if (StartAnew && Name is null)
            throw new ArgumentException("StartAnew has no use for a writer without a name: it is always a new one. Leave it out, or give a name.", nameof(StartAnew));
        Options.InRange(MaxBufferedBytes, 64L << 10, 4L << 30, nameof(MaxBufferedBytes));
        Options.InRange(MaxInFlightBatches, 1, MostInFlightBatches, nameof(MaxInFlightBatches));
        Options.InRange(MaxBatchBytes, 4 << 10, ChunkLimits.TargetBatchBytes, nameof(MaxBatchBytes));
        if (AppendTimeout is { } timeout)
            Options.InRange(timeout, TimeSpan.FromMilliseconds(10), TimeSpan.FromHours(24), nameof(AppendTimeout));
    }
}
